"""``apps.md``: what an app receives and may ask, made by the code that answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from catalogue.registry import BY_CODE
from cli.reference.markdown import code, page, table
from contracts.ids import observation_id
from contracts.instants import MINUTE, SECOND, from_datetime
from contracts.observation import Observation
from contracts.registry import ConsentRecord
from sharing import cloud_events
from sharing.cloud_events import Event
from sharing.fhir.capability import capability_statement
from sharing.fhir.observation import QUALITY_SYSTEM, QUALITY_TAGS, group, resource
from sharing.pseudonyms import AppPseudonyms

ABOUT = """
`./agora app add` gives an app two credentials: a Kafka user for its own topic `agora.app.<app>.v1`, and an OAuth client
for the gateway. On both it sees what patients consented to, as FHIR R4 Observations with the same ids. People, devices
and readings have names that only this app knows. The examples on this page are made by the platform's own code; two
small apps are in [examples](../../examples/README.md).
"""
TOPIC = """
One partition, at least once, kept for 7 days. Read it with the group `agora-app-<app>`. **A record may come twice with
the same `ce_id`: drop what you have seen.** Headers are CloudEvents 1.0 in Kafka's binary mode. Programs on librdkafka need its
version 2.6.1 or later: older ones, Debian 12's `kcat` among them, break SCRAM's last message and are refused.
"""
READING = """
Components of a panel (blood pressure) come as one Observation. One that was not measured or is not shared has a
`dataAbsentReason`, and which of both is not told.
"""
WITHDRAWN = """
About a second after a consent was withdrawn, behind the last reading under it, this record comes. Erase what you hold
under its `ce_consentid`.
"""
ASKING = """
Get a token for at most five minutes from `/oauth/token` with client credentials, then search below `/fhir`.
`/fhir/Patient` lists who shares with the app. Each answer is checked against consents at that moment. Follow the `next`
link to page; it holds while readings arrive. `_count` limits a page and `_sort` takes `date` or `-date`. What cannot be
answered exactly is refused in words. Who asks too often, for tokens or for readings, gets `429` with `Retry-After`, the
seconds to wait; the limits are `AGORA_GATEWAY_QUERIES_PER_SECOND` and its neighbours in [settings.md](settings.md).
"""
AT = from_datetime(datetime(2026, 11, 22, 10, 0, tzinfo=UTC))
APP = AppPseudonyms(bytes(32), "rhythm")
CONSENT = ConsentRecord(
    consent="7b0c5d1e-5b1a-4c1e-9a53-0d2f6f0c8a11",
    subject="p-001",
    app="rhythm",
    vitals=frozenset({"8480-6", "8462-4", "8867-4"}),
    granted_at=AT - MINUTE,
)
WORDS = {
    "ce_id": "id of the record, the same at each repeat",
    "ce_source": "who made it",
    "ce_type": "what it is",
    "ce_time": "when it was measured, or withdrawn",
    "content-type": "of the value",
    "ce_consentid": "consent under which it is released",
    "ce_consentrevision": "revision of that consent",
    "ce_specversion": "version of CloudEvents",
}


def render() -> str:
    """Write the page."""
    readings = [_reading("8480-6", 122.0), _reading("8462-4", 78.0)]
    shown = cloud_events.observation(resource(group(readings)[0], APP), CONSENT)
    withdrawn = cloud_events.withdrawal(CONSENT.model_copy(update={"withdrawn_at": AT + MINUTE, "revision": 2}), APP)
    tags = ((code(word), display) for word, display in QUALITY_TAGS.values())
    return page(
        "What an app receives",
        ABOUT,
        "## The app's topic",
        TOPIC,
        "### A reading",
        READING,
        _headers(shown),
        _json(shown.value),
        f"`meta.tag` of the system `{QUALITY_SYSTEM}` says how far to trust a reading; `meta.security` `HTEST` marks test data.",
        table(("Tag", "Meaning"), tags),
        "### A withdrawal",
        WITHDRAWN,
        _headers(withdrawn),
        _json(withdrawn.value),
        "## Asking by FHIR",
        ASKING,
        *_searches(),
    )


def _reading(vital: str, value: float) -> Observation:
    return Observation(
        id=observation_id("clinic", "cuff-1", vital, "", AT, 1),
        org="clinic",
        device="cuff-1",
        subject="p-001",
        vital=vital,
        site="",
        value=value,
        unit=BY_CODE[vital].unit,
        device_time=AT,
        effective_at=AT,
        received_at=AT + SECOND,
        sequence=1,
        panel=BY_CODE[vital].panel,
    )


def _headers(event: Event) -> str:
    return table(
        ("Header", "Example", "Meaning"), ((code(name), code(value.decode()), WORDS[name]) for name, value in event.headers)
    )


def _json(value: bytes) -> str:
    return f"```json\n{json.dumps(json.loads(value), indent=2, ensure_ascii=False)}\n```"


def _searches() -> list[str]:
    parts = []
    resources: list[dict[str, Any]] = capability_statement("", "", 0)["rest"][0]["resource"]
    for one in resources:
        rows = ((code(asked["name"]), asked["type"], asked["documentation"]) for asked in one["searchParam"])
        parts += [f"`/fhir/{one['type']}`", table(("Parameter", "Type", "Meaning"), rows)]
    return parts
