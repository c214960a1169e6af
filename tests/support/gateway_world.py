"""People, devices, apps and readings in a real database, and a gateway process to ask about them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import uuid4

import httpx
import psycopg

from catalogue.registry import BY_CODE, VITALS
from contracts.instants import SECOND, to_datetime
from contracts.registry import ConsentRecord
from deploy.local.stack import Stack
from sharing import consents
from sharing.client_secrets import hash_secret
from sharing.consents import Grant
from sharing.pseudonyms import AppPseudonyms, master_of

NOON = 1_795_348_800 * SECOND
"""2026-11-22T12:00:00Z."""
SECRET = "a secret of the tests, long enough"
SECRET_HASH = hash_secret(SECRET)
INSERT_READING = """
INSERT INTO observations (device_time, effective_at, received_at, sequence, value, device_key, subject_key, quality,
                          vital_key, site_key, profile)
SELECT %(at)s, %(at)s, %(at)s, %(sequence)s, %(value)s, d.device_key, s.subject_key, 0, v.vital_key, t.site_key, 1
FROM devices d, subjects s, vitals v, sites t
WHERE d.org = %(org)s AND d.name = %(device)s AND s.name = %(subject)s AND v.code = %(vital)s AND t.name = %(site)s
"""
LEND = """
INSERT INTO loans (device_key, subject_key, starts_at)
SELECT d.device_key, s.subject_key, 'epoch' FROM devices d, subjects s
WHERE d.org = %(org)s AND d.name = %(device)s AND s.name = %(subject)s
    AND NOT EXISTS (SELECT FROM loans l WHERE l.device_key = d.device_key)
"""


@dataclass
class World:
    """What one test has put into the database; names are new each time, so that tests do not meet.

    Attributes:
        stack: the servers.
        owner: connection as the schema's owner, each statement a transaction.
    """

    stack: Stack
    owner: psycopg.Connection[Any]
    _numbers: Any = field(default_factory=count)
    mark: str = field(default_factory=lambda: uuid4().hex[:8])

    def __post_init__(self) -> None:
        self.org = f"org-{self.mark}"
        self.owner.execute("INSERT INTO organisations (name, display) VALUES (%s, 'Test')", [self.org])
        for vital in VITALS:
            self.owner.execute(
                "INSERT INTO vitals (code, display, unit) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                [vital.code, vital.display, vital.unit],
            )

    def name(self, kind: str) -> str:
        return f"{kind}-{self.mark}-{next(self._numbers)}"

    def subject(self) -> str:
        name = self.name("subject")
        self.owner.execute(
            "INSERT INTO subjects (name, org, identifier_system, identifier_value) VALUES (%s, %s, 'urn:test', %s)",
            [name, self.org, name],
        )
        return name

    def app(self) -> str:
        name = self.name("app")
        self.owner.execute(
            "INSERT INTO apps (name, org, display, client_id, secret_hash, provisioned_at) VALUES (%s, %s, %s, %s, %s, now())",
            [name, self.org, name, f"client-{name}", SECRET_HASH],
        )
        return name

    def revoke(self, app: str) -> None:
        self.owner.execute("UPDATE apps SET revoked_at = now() WHERE name = %s", [app])

    def device(self) -> str:
        name = self.name("device")
        self.owner.execute(
            "INSERT INTO devices (org, name, model, broker_password_hash) VALUES (%s, %s, 'agora-generic', '')", [self.org, name]
        )
        return name

    def consent(
        self, subject: str, app: str, *vitals: str, history_from: int | None = 0, ends_at: int | None = None
    ) -> ConsentRecord:
        grant = Grant(subject=subject, app=app, vitals=vitals, purpose="to test", history_from=history_from, ends_at=ends_at)
        return consents.grant(self.owner, grant, "test")

    def withdraw(self, consent: ConsentRecord) -> None:
        consents.withdraw(self.owner, consent.consent, "test")

    def reading(
        self, subject: str, device: str, vital: str, value: float, at: int = NOON, sequence: int = 0, site: str = ""
    ) -> None:
        """Store a reading; its subject has the device, since ever, unless somebody has it already."""
        self.owner.execute("INSERT INTO sites (name) VALUES (%s) ON CONFLICT DO NOTHING", [site])
        values = {
            "at": to_datetime(at),
            "sequence": sequence,
            "value": value,
            "org": self.org,
            "device": device,
            "subject": subject,
            "vital": BY_CODE[vital].code,
            "site": site,
        }
        self.owner.execute(LEND, values)
        self.owner.execute(INSERT_READING, values)

    def hand_over(self, device: str, before: str, after: str, at: int) -> None:
        """Write down that a device changed hands, and move no reading."""
        values = {"org": self.org, "device": device, "before": before, "after": after, "at": to_datetime(at)}
        self.owner.execute(
            "UPDATE loans l SET ends_at = %(at)s FROM devices d, subjects s WHERE d.device_key = l.device_key AND d.org = %(org)s"
            " AND d.name = %(device)s AND s.subject_key = l.subject_key AND s.name = %(before)s",
            values,
        )
        self.owner.execute(
            "INSERT INTO loans (device_key, subject_key, starts_at) SELECT device_key, subject_key, %(at)s"
            " FROM devices d, subjects s WHERE d.org = %(org)s AND d.name = %(device)s AND s.name = %(after)s",
            values,
        )

    def pseudonym(self, app: str, subject: str) -> str:
        master = master_of(self.stack.settings("gateway")["AGORA_PSEUDONYM_MASTER"])
        return AppPseudonyms(master, app).subject(subject)

    def accesses(self, app: str) -> list[dict[str, Any]]:
        with self.owner.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            return cursor.execute("SELECT * FROM access_log WHERE app = %s ORDER BY access_id", [app]).fetchall()


def client_of(stack: Stack) -> httpx.Client:
    """A client of the gateway that trusts the local authority."""
    operator = stack.settings("operator")
    trust = ssl.create_default_context(cafile=operator["AGORA_CA_FILE"])
    return httpx.Client(base_url=operator["AGORA_GATEWAY_PUBLIC_URL"], verify=trust, trust_env=False, timeout=20)


def token_of(client: httpx.Client, app: str, scope: str = "") -> str:
    """Get an access token as an app."""
    answer = client.post(
        "/oauth/token", data={"grant_type": "client_credentials", "scope": scope}, auth=(f"client-{app}", SECRET)
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def operator_headers(stack: Stack) -> dict[str, str]:
    """The operator's header."""
    return bearer(stack.settings("operator")["AGORA_GATEWAY_OPERATOR_TOKEN"])


def found(answer: httpx.Response) -> list[dict[str, Any]]:
    """Give the resources of a searchset."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/fhir+json"
    return [entry["resource"] for entry in answer.json().get("entry", [])]


def pages(client: httpx.Client, headers: dict[str, str], **parameters: Any) -> Iterator[list[dict[str, Any]]]:
    """Follow next links from the first page on."""
    answer = client.get("/fhir/Observation", params=parameters, headers=headers)
    while True:
        yield found(answer)
        following = [link["url"] for link in answer.json()["link"] if link["relation"] == "next"]
        if not following:
            return
        answer = client.get(following[0], headers=headers)


def outcome(answer: httpx.Response) -> str:
    """Give the code of an OperationOutcome."""
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    return str(body["issue"][0]["code"])
