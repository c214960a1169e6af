"""``agora app``, ``agora consent`` and ``agora access``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from getpass import getuser
from typing import Annotated, Any

import orjson
import psycopg
import typer
from rich.console import Console
from rich.table import Table

from cli import kcat
from contracts.errors import Unavailable
from contracts.instants import from_datetime, to_datetime
from contracts.registry import ConsentRecord
from registry.refusal import Refused
from runtime.settings import DatabaseSettings, KafkaSettings, load
from sharing import accesses, apps, consents
from sharing.kafka_users import KafkaUsers
from sharing.settings import AppAddressSettings

PANEL = "Share"
App = Annotated[str | None, typer.Option("--app", help="Only this app's.")]
Subject = Annotated[str | None, typer.Option("--subject", help="Only this subject's.")]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]
_out = Console(highlight=False, soft_wrap=True)
_notes = Console(stderr=True, highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app_group = typer.Typer(no_args_is_help=True, help="Apps: add, list, rotate secrets, revoke.")
    app_group.command("add")(app_add)
    app_group.command("list")(app_list)
    app_group.command("rotate")(app_rotate)
    app_group.command("revoke")(app_revoke)
    consent_group = typer.Typer(no_args_is_help=True, help="Consents: grant, withdraw, list, show the proof of a withdrawal.")
    consent_group.command("grant")(consent_grant)
    consent_group.command("withdraw")(consent_withdraw)
    consent_group.command("list")(consent_list)
    consent_group.command("evidence")(consent_evidence)
    app.add_typer(app_group, name="app", rich_help_panel=PANEL)
    app.add_typer(consent_group, name="consent", rich_help_panel=PANEL)
    app.command("access", rich_help_panel=PANEL)(access)


def app_add(
    org: Annotated[str, typer.Argument(help="Organisation that runs the app.")],
    name: Annotated[str, typer.Argument(help="a-z, 0-9 and '-', unique over the platform.")],
    display: Annotated[str, typer.Option(help="Name for people.")] = "",
) -> None:
    """Add an app; its two secrets are shown once.

    Example:
      ./agora app add heartlab rhythm --display "Rhythm watch"
    """
    with _database() as connection:
        _show_access(apps.add(connection, _users(), org, name, display))
        with _notes.status("Waiting for the keeper to make the app's topic and rights …") as status:
            apps.wait_provisioned(
                connection, name, progress=lambda seconds: status.update(f"Waiting for the keeper … {seconds:.0f} s")
            )
    _notes.print("Its topic and rights stand. It sees nothing until a patient consents: ./agora consent grant --help")


def app_list(json: Json = False) -> None:
    """List apps."""
    with _database() as connection:
        found = apps.listed(connection)
    if json:
        _print_json([asdict(app) for app in found])
        return
    if not found:
        _notes.print("No app yet. Add one: ./agora app add ORG NAME")
        return
    table = _table("app", "organisation", "display", "client id", "state")
    for app in found:
        state = "revoked" if app.revoked_at else "ready" if app.provisioned_at else "waits for the keeper"
        table.add_row(app.name, app.org, app.display, app.client_id, state)
    _out.print(table)


def app_rotate(name: Annotated[str, typer.Argument(help="The app.")]) -> None:
    """Give an app new secrets, shown once; the old ones end at once."""
    with _database() as connection:
        _show_access(apps.rotate(connection, _users(), name))


def app_revoke(name: Annotated[str, typer.Argument(help="The app.")]) -> None:
    """End an app: its rights in Kafka, then its user; its name is not given again."""
    with _database() as connection:
        apps.revoke(connection, _users(), name)
    _notes.print(f"{name} is revoked: nothing more is released to it, and it can read nothing any more.")


def consent_grant(
    subject: Annotated[str, typer.Option(help="Whose readings.")],
    app: Annotated[str, typer.Option(help="To which app.")],
    vital: Annotated[list[str], typer.Option(help="LOINC code of a vital or panel; several times for several.")],
    purpose: Annotated[str, typer.Option(help="Why, in the words the patient saw.")],
    history_from: Annotated[
        str | None, typer.Option(help="See readings since then (2026-11-01T00:00Z); else from now on.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="End by itself then (2027-01-01T00:00Z).")] = None,
) -> None:
    """Record a patient's consent; it takes effect within a second.

    Example:
      ./agora consent grant --subject p-001 --app rhythm --vital 8867-4 --vital 85354-9 --purpose "Rhythm study"
    """
    asked = consents.Grant(
        subject=subject,
        app=app,
        vitals=tuple(vital),
        purpose=purpose,
        history_from=_instant(history_from, "--history-from"),
        ends_at=_instant(until, "--until"),
    )
    with _database() as connection:
        record = consents.grant(connection, asked, by=_who())
    _notes.print(
        f"{app} may now see {len(record.vitals)} vital(s) of {subject}. Withdraw: ./agora consent withdraw {record.consent}"
    )
    sys.stdout.write(f"{record.consent}\n")


def consent_withdraw(consent: Annotated[str, typer.Argument(help="The consent's id.")]) -> None:
    """Withdraw a consent; within a second nothing more is delivered.

    Example:
      ./agora consent withdraw 8f289070-f345-40d4-a522-1a991a514d2b
    """
    with _database() as connection:
        record = consents.withdraw(connection, consent, by=_who())
    _notes.print(
        f"{record.app} sees nothing more of {record.subject} under this consent. Proof: ./agora consent evidence {consent}"
    )


def consent_list(subject: Subject = None, app: App = None, json: Json = False) -> None:
    """List consents in their newest revision.

    Example:
      ./agora consent list --subject p-001
    """
    with _database() as connection:
        found = consents.listed(connection, subject, app)
    if json:
        _print_json([record.model_dump(mode="json", exclude={"version"}) for record in found])
        return
    if not found:
        _notes.print("No consent yet, so no app sees anything. Record one: ./agora consent grant --help")
    for record in found:
        _show_consent(record)


def consent_evidence(consent: Annotated[str, typer.Argument(help="A withdrawn consent's id.")], json: Json = False) -> None:
    """Show that a withdrawal took effect on the app's topic: last record before it, first withheld after, the app told.

    Example:
      ./agora consent evidence 8f289070-f345-40d4-a522-1a991a514d2b
    """
    with _database() as connection:
        found = accesses.withdrawal_evidence(connection, consent)
    if json:
        _print_json(asdict(found) | {"seconds_after": found.seconds_after, "holds": found.holds})
        return
    _out.print(f"withdrawn             {found.withdrawn_at:%Y-%m-%d %H:%M:%S.%f}")
    _out.print(f"last record appended  {_moment(found.last_released_at)}  {found.last_released}")
    _out.print(f"first withheld        {_moment(found.first_withheld_at)}  ({found.readings_withheld} readings withheld since)")
    _out.print(f"app told to erase     {_moment(found.app_told_at)}")
    _out.print(
        "Nothing was appended later than a second after the withdrawal." if found.holds else "[bold red]A record came later.[/]"
    )


def access(
    subject: Subject = None,
    app: App = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    json: Json = False,
) -> None:
    """Tell who saw what of whom, and who was refused, the newest first.

    Example:
      ./agora access --subject p-001 --limit 10
    """
    with _database() as connection:
        found = accesses.accesses(connection, subject, app, limit)
    if json:
        _print_json([asdict(entry) for entry in found])
        return
    for entry in found:
        _out.print(accesses.in_words(entry), markup=False)
    if not found:
        _notes.print("Nothing was released or refused. Consents: ./agora consent list")


def ready_to_paste(access: apps.Access, addresses: AppAddressSettings) -> str:
    """Write the lines with which an app's developer reads its topic and queries FHIR from a shell.

    Args:
        access: the app's, with its secrets.
        addresses: what apps are told.
    """
    return "\n".join(
        [
            "# Read the topic from its beginning (Ctrl-C ends it):",
            f"{kcat.command()} -b {addresses.kafka_apps_bootstrap} \\",
            f"  -X security.protocol=SASL_SSL -X ssl.ca.location='{addresses.ca_file}' \\",
            f"  -X sasl.mechanisms=SCRAM-SHA-512 -X sasl.username={access.kafka_user} \\",
            f"  -X sasl.password={access.kafka_password} \\",
            f"  -t {access.topic} -C -o beginning",
            "# Get a token, then query FHIR:",
            f"TOKEN=$(curl -sS --cacert '{addresses.ca_file}' -u {access.client_id}:{access.client_secret} \\",
            f"  -d grant_type=client_credentials {addresses.gateway_public_url}/oauth/token \\",
            "  | python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])')",
            f"fhir() {{ curl -sS --cacert '{addresses.ca_file}' -H \"Authorization: Bearer $TOKEN\" \\",
            f'  "{addresses.gateway_public_url}/fhir/$1"; }}',
            "fhir Patient    # who shares with the app; then, with the id of one of them:",
            "fhir 'Observation?patient=ID&_count=5'",
        ]
    )


def _show_consent(record: ConsentRecord) -> None:
    """Print a consent on lines of its own: its id must come whole out of a narrow terminal."""
    since = "from then on" if record.history_from is None else f"readings since {_minute(record.history_from)}"
    until = f", until {_minute(record.ends_at)}" if record.ends_at is not None else ""
    _out.print(f"{record.consent}  {_state(record)}: {record.subject} to {record.app}", markup=False)
    _out.print(f"  {' '.join(sorted(record.vitals))}, granted {_minute(record.granted_at)}, {since}{until}", markup=False)
    _out.print(f"  for: {record.purpose}", markup=False)


def _show_access(access: apps.Access) -> None:
    _notes.print("[bold]These secrets are shown once and kept nowhere:[/]")
    _out.print(f"client id       {access.client_id}\nclient secret   {access.client_secret}", markup=False)
    _out.print(f"Kafka user      {access.kafka_user}\nKafka password  {access.kafka_password}", markup=False)
    _out.print(f"topic           {access.topic}\n", markup=False)
    _out.print(ready_to_paste(access, load(AppAddressSettings)), markup=False)


@contextmanager
def _database() -> Iterator[psycopg.Connection[Any]]:
    try:
        connection = psycopg.connect(load(DatabaseSettings).conninfo(), autocommit=True)
    except psycopg.OperationalError as error:
        raise Unavailable("the database does not answer: ./agora status") from error
    with connection:
        yield connection


def _users() -> KafkaUsers:
    return KafkaUsers(load(KafkaSettings))


def _who() -> str:
    return f"operator:{getuser()}"


def _instant(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"{option} is not a date and time.", "Write it as 2026-11-01T00:00Z.") from None
    if moment.tzinfo is None:
        raise Refused(f"{option} has no offset from UTC.", "Write it as 2026-11-01T00:00Z.")
    return from_datetime(moment)


def _state(record: ConsentRecord) -> str:
    if record.withdrawn_at is not None:
        return f"withdrawn {_minute(record.withdrawn_at)}"
    ended = record.ends_at is not None and to_datetime(record.ends_at) <= datetime.now(UTC)
    return "ended" if ended else "active"


def _minute(instant: int | None) -> str:
    return "" if instant is None else f"{to_datetime(instant):%Y-%m-%d %H:%M}"


def _moment(moment: datetime | None) -> str:
    return "not yet" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S.%f}"


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _print_json(value: object) -> None:
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
