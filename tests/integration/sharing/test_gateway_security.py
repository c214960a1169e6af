"""Who is kept out of the gateway, what the database holds back by itself, and what never stands in a log."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from contracts.instants import HOUR
from deploy.local.stack import Stack
from tests.support.gateway_world import NOON, SECRET, World, bearer, client_of, token_of
from tests.support.tls import HUNG_UP, Authority, Doorway, offer_old_tls

Owner = psycopg.Connection[Any]
GRANT = {"grant_type": "client_credentials"}
CONSENTED = "SELECT subject_key, vital_key, effective_at, value FROM shared_observations"


def as_gateway(stack: Stack) -> Owner:
    """Connect with the gateway's own database role."""
    settings = stack.settings("gateway")
    return psycopg.connect(
        host=settings["AGORA_DATABASE_HOST"],
        port=int(settings["AGORA_DATABASE_PORT"]),
        dbname=settings["AGORA_DATABASE_NAME"],
        user=settings["AGORA_DATABASE_USER"],
        password=settings["AGORA_DATABASE_PASSWORD"],
    )


def test_the_database_itself_gives_an_app_only_what_is_consented(world: World, gateway: Stack, owner: Owner) -> None:
    subject, other, app = world.subject(), world.subject(), world.app()
    consent = world.consent(subject, app, "8867-4", history_from=NOON)
    for who, device in ((subject, world.device()), (other, world.device())):
        for vital in ("8867-4", "9279-1"):
            world.reading(who, device, vital, 50.0, NOON)
            world.reading(who, device, vital, 51.0, NOON - 1)

    def values(of_app: str | None) -> list[float]:
        with as_gateway(gateway) as connection:
            connection.execute("SET LOCAL ROLE agora_app_query")
            if of_app is not None:
                connection.execute("SELECT set_config('agora.app', %s, true)", [of_app])
            return [row[3] for row in connection.execute(CONSENTED).fetchall()]

    assert values(app) == [50.0]
    assert values(world.app()) == []
    assert values(None) == []
    world.withdraw(consent)
    assert values(app) == []


def test_the_gateway_without_that_role_sees_no_more(world: World, gateway: Stack) -> None:
    world.reading(world.subject(), world.device(), "8867-4", 50.0)

    with as_gateway(gateway) as connection:
        assert connection.execute(CONSENTED).fetchall() == []


@pytest.mark.parametrize("role", ["agora_gateway", "agora_app_query"])
def test_neither_the_table_nor_a_chunk_can_be_read_past_the_policy(world: World, gateway: Stack, owner: Owner, role: str) -> None:
    world.reading(world.subject(), world.device(), "8867-4", 50.0)
    chunks = owner.execute(
        "SELECT relnamespace::regnamespace::text, relname FROM show_chunks('observations') chunk JOIN pg_class ON oid = chunk"
    ).fetchall()

    for table in (*chunks, ("public", "observations")):
        with as_gateway(gateway) as connection:
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
            with pytest.raises(InsufficientPrivilege, match="permission denied for"):
                connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(*table)))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT secret_hash FROM apps",
        "SELECT * FROM access_log",
        "INSERT INTO access_log (app, channel, outcome) VALUES ('x', 'fhir', 'empty')",
        "UPDATE shared_observations SET value = 0",
        "SET ROLE agora_app_reader",
        "SELECT * FROM quarantine",
    ],
)
def test_the_role_of_an_apps_query_can_do_nothing_else(gateway: Stack, statement: str) -> None:
    with as_gateway(gateway) as connection:
        connection.execute("SET LOCAL ROLE agora_app_query")
        with pytest.raises(InsufficientPrivilege):
            connection.execute(statement)


def test_what_cannot_be_logged_is_not_answered(world: World, client: httpx.Client, owner: Owner) -> None:
    subject, app = world.subject(), world.app()
    world.consent(subject, app, "8867-4")
    world.reading(subject, world.device(), "8867-4", 71.0)
    headers, patient = bearer(token_of(client, app)), world.pseudonym(app, subject)
    paths = (f"/fhir/Observation?patient={patient}", "/fhir/Patient", f"/fhir/Patient/{patient}")

    owner.execute("REVOKE INSERT ON access_log FROM agora_gateway")
    try:
        answers = [client.get(path, headers=headers) for path in paths]
    finally:
        owner.execute("GRANT INSERT ON access_log TO agora_gateway")

    assert [answer.status_code for answer in answers] == [500, 500, 500]
    for answer in answers:
        assert answer.json()["issue"][0]["code"] == "exception"
        assert "access_log" not in answer.text
        assert "71" not in answer.json()["issue"][0]["diagnostics"]
    assert client.get(paths[0], headers=headers).json()["entry"]


def while_the_log_is_held(
    gateway: Stack, owner: Owner, asked: Callable[[], httpx.Response], meanwhile: Callable[[], None]
) -> httpx.Response:
    """Let a request come as far as writing the log, do something, and let it go on."""
    holding, settings = Event(), gateway.settings("owner")
    with ThreadPoolExecutor(1) as threads, psycopg.connect(
        host=settings["AGORA_DATABASE_HOST"], port=int(settings["AGORA_DATABASE_PORT"]), dbname=settings["AGORA_DATABASE_NAME"],
        user=settings["AGORA_DATABASE_USER"], password=settings["AGORA_DATABASE_PASSWORD"],
    ) as holder:  # fmt: skip
        holder.execute("LOCK TABLE access_log IN EXCLUSIVE MODE")
        answer = threads.submit(asked)
        for _ in range(200):
            waiting = owner.execute(
                "SELECT count(*) FROM pg_locks WHERE relation = 'access_log'::regclass AND NOT granted"
            ).fetchone()
            if waiting and waiting[0]:
                break
            holding.wait(0.02)
        else:
            raise AssertionError("the request never came to the log")
        meanwhile()
        holder.commit()
        return answer.result()


def test_a_withdrawal_while_the_answer_is_made_keeps_it_back(
    world: World, client: httpx.Client, gateway: Stack, owner: Owner
) -> None:
    subject, app = world.subject(), world.app()
    consent = world.consent(subject, app, "8867-4")
    world.reading(subject, world.device(), "8867-4", 71.0)
    headers, patient = bearer(token_of(client, app)), world.pseudonym(app, subject)

    answer = while_the_log_is_held(
        gateway,
        owner,
        lambda: client.get(f"/fhir/Observation?patient={patient}", headers=headers),
        lambda: world.withdraw(consent),
    )

    assert answer.status_code == 200
    assert "entry" not in answer.json()
    accesses = [(access["outcome"], access["reason"]) for access in world.accesses(app)]
    assert accesses == [("released", ""), ("refused", "consent changed before the answer left"), ("refused", "no consent")]


def test_there_is_no_way_in_without_tls(gateway: Stack) -> None:
    url = gateway.settings("operator")["AGORA_GATEWAY_PUBLIC_URL"].replace("https://", "http://")

    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{url}/healthz", trust_env=False)


def test_old_tls_is_refused(gateway: Stack, tmp_path: Path) -> None:
    operator = gateway.settings("operator")
    oldest = ssl.create_default_context(cafile=operator["AGORA_CA_FILE"])
    oldest.maximum_version = ssl.TLSVersion.TLSv1_2
    with httpx.Client(verify=oldest, trust_env=False) as client:
        assert client.get(f"{operator['AGORA_GATEWAY_PUBLIC_URL']}/healthz").status_code == 200

    assert offer_old_tls(gateway.instance.ports.gateway, Path(operator["AGORA_CA_FILE"])) == HUNG_UP
    elsewhere = Authority.make(tmp_path / "elsewhere")
    with Doorway(elsewhere.vouch(), old=True) as door:
        assert offer_old_tls(door.port, elsewhere.file) == "TLSv1.1", "whoever knocks can speak it"


@pytest.mark.parametrize("announced", [True, False])
def test_a_huge_request_is_not_read(client: httpx.Client, announced: bool) -> None:
    def chunks() -> Any:
        for _ in range(20):
            yield b"x" * 8192

    content: Any = b"x" * 20 * 8192 if announced else chunks()

    answer = client.post("/oauth/token", content=content, headers={"content-type": "application/x-www-form-urlencoded"})

    assert answer.status_code in (400, 413)


def test_no_value_secret_token_or_name_stands_in_the_gateways_log(world: World, gateway: Stack) -> None:
    subject, app, device = world.subject(), world.app(), world.device()
    consent = world.consent(subject, app, "8867-4")
    world.reading(subject, device, "8867-4", 71.2345)
    with client_of(gateway) as client:
        token = token_of(client, app)
        patient = world.pseudonym(app, subject)
        assert "71.2345" in client.get(f"/fhir/Observation?patient={patient}", headers=bearer(token)).text
        client.get(f"/fhir/Patient/{subject}", headers=bearer(token))
        client.get(f"/fhir/Patient/{patient}?surname=Smith", headers=bearer(token))
        client.post("/oauth/token", data=GRANT, auth=(f"client-{app}", "wrong-secret-here"))
        client.post("/api/v1/consents", json={"subject": "Smith-Jones", "secret": "x"}, headers=bearer(token))

    log = (gateway.instance.logs / "gateway.log").read_text()

    assert '"request"' in log
    for kept_out in (SECRET, token, patient, subject, device, "71.2345", "wrong-secret-here", "Smith", consent.consent):
        assert kept_out not in log
    lines = [line for line in log.splitlines() if '"event": "sharing.request_answered"' in line]
    assert lines
    assert all(re.search(r'"request": "[0-9a-f-]{36}"', line) for line in lines)


def test_an_error_in_a_request_is_told_without_what_was_sent(client: httpx.Client, gateway: Stack) -> None:
    operator = bearer(gateway.settings("operator")["AGORA_GATEWAY_OPERATOR_TOKEN"])

    answer = client.post("/api/v1/consents", json={"subject": "Mrs Smith", "Smith": 1, "vitals": 5}, headers=operator)

    assert answer.status_code == 422
    assert "Mrs" not in answer.text
    assert "body.subject: string pattern mismatch" in answer.json()["title"]


def test_the_same_search_gives_the_same_bytes(world: World, client: httpx.Client) -> None:
    subject, app = world.subject(), world.app()
    world.consent(subject, app, "8867-4")
    world.reading(subject, world.device(), "8867-4", 71.0, NOON - HOUR)
    headers, patient = bearer(token_of(client, app)), world.pseudonym(app, subject)

    first, second = (client.get(f"/fhir/Observation?patient={patient}", headers=headers).content for _ in range(2))

    assert first == second
