"""CloudEvents 1.0 in Kafka's binary mode: what stands in the headers of an app's records. Pure.

Source: CloudEvents 1.0.2 and its Kafka protocol binding, section 3.2. Extension attributes are lower case without hyphens.
"""

from __future__ import annotations

from typing import NamedTuple

import orjson

from contracts.instants import to_text
from contracts.registry import ConsentRecord
from sharing.fhir.observation import CONTENT_TYPE, Resource, encode
from sharing.pseudonyms import AppPseudonyms

Headers = list[tuple[str, bytes]]
SOURCE = "urn:agora:router"
OBSERVATION_TYPE = "agora.observation.released.v1"
WITHDRAWN_TYPE = "agora.consent.withdrawn.v1"


class Event(NamedTuple):
    """A record of an app's topic."""

    key: bytes
    value: bytes
    headers: Headers


def header(headers: Headers, name: str) -> str:
    """Read one header of a record, empty where it is missing."""
    return next((value.decode() for key, value in headers if key == name), "")


def observation(made: Resource, consent: ConsentRecord) -> Event:
    """Wrap an Observation.

    Args:
        made: from ``sharing.fhir.observation.resource``.
        consent: what allows it.
    """
    identifier: str = made["id"]
    headers = _headers(identifier, OBSERVATION_TYPE, made["effectiveDateTime"], CONTENT_TYPE)
    return Event(identifier.encode(), encode(made), headers + _consent(consent))


def withdrawal(consent: ConsentRecord, pseudonyms: AppPseudonyms) -> Event:
    """Make the event that tells an app that a consent ended and its data must be erased.

    Args:
        consent: the withdrawn revision.
        pseudonyms: the app's.

    Returns:
        The event; its id is the same at each repeat.
    """
    assert consent.withdrawn_at is not None
    identifier = pseudonyms.consent_notice(consent.consent, consent.revision)
    value = {
        "consent": consent.consent,
        "revision": consent.revision,
        "patient": f"Patient/{pseudonyms.subject(consent.subject)}",
        "vitals": sorted(consent.vitals),
        "withdrawnAt": to_text(consent.withdrawn_at),
        "action": "erase",
        "words": "The patient withdrew this consent. Erase what you received under it; nothing more will be delivered.",
    }
    headers = _headers(identifier, WITHDRAWN_TYPE, to_text(consent.withdrawn_at), "application/json") + _consent(consent)
    return Event(identifier.encode(), orjson.dumps(value), headers)


def _headers(identifier: str, kind: str, at: str, content_type: str) -> Headers:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", identifier.encode()),
        ("ce_source", SOURCE.encode()),
        ("ce_type", kind.encode()),
        ("ce_time", at.encode()),
        ("content-type", content_type.encode()),
    ]


def _consent(consent: ConsentRecord) -> Headers:
    return [("ce_consentid", consent.consent.encode()), ("ce_consentrevision", str(consent.revision).encode())]
