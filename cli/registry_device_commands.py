"""``agora device``: enrol, lend, correct, rotate, retire."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli.registry_terms import (
    database,
    instant,
    notes,
    now,
    offset,
    offset_words,
    out,
    print_json,
    print_table,
    publish_line,
    shown,
    wait_settled,
)
from contracts.instants import SECOND, to_text
from contracts.mqtt import up_topic
from registry import clocks, devices, loans
from registry.devices import Enrolled
from registry.loans import Change, LoanRow
from registry.records import split_device
from registry.refusal import Refused

Json = Annotated[bool, typer.Option("--json", help="For machines.")]
DeviceName = Annotated[str, typer.Argument(metavar="ORG/DEVICE", help="Organisation and device, as in clinic/ox-1.")]
From = Annotated[str, typer.Option("--from", help="First moment (2026-11-22T10:00Z, or now).")]
Until = Annotated[str | None, typer.Option("--until", help="First moment after it; else it lasts.")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the keeper.")]
WAIT_SECONDS = 30.0


def group() -> typer.Typer:
    """Make the group of commands."""
    app = typer.Typer(no_args_is_help=True, help="Devices: enrol, lend to subjects, correct, rotate passwords, retire.")
    for name, command in (
        ("add", add),
        ("list", list_),
        ("show", show),
        ("loan", loan),
        ("return", return_),
        ("correct-loan", correct_loan),
        ("correct-clock", correct_clock),
        ("rotate", rotate),
        ("retire", retire),
    ):
        app.command(name)(command)
    return app


def add(
    device: DeviceName,
    model: Annotated[str, typer.Option(help="Model of the catalogue.")] = "agora-generic",
    subject: Annotated[str | None, typer.Option(help="Lend it to this subject from now on.")] = None,
    wait: Wait = WAIT_SECONDS,
    json: Json = False,
) -> None:
    """Enrol a device; its password is shown once.

    Example:
      ./agora device add clinic/ox-1 --model agora-oximeter --subject p-001
    """
    org, name = split_device(device)
    with database() as connection:
        with connection.transaction():
            if subject is None:
                enrolled = devices.enrol(connection, org, name, model)
            else:
                loans.subject_key(connection, subject)  # a typing error must not leave a device behind
                enrolled = devices.enrol(connection, org, name, model)
                # From the whole second on: what a device dates to seconds, as the line to paste does, is not from before it.
                loans.lend(connection, org, name, subject, now() // SECOND * SECOND)
        _show_credential(enrolled, model, json)
        wait_settled(connection, [enrolled.username], "Waiting for the keeper to let the device in", wait)
    if not json and subject is None:
        notes.print(f"It is nobody's yet: ./agora device loan {device} SUBJECT")


def _show_credential(enrolled: Enrolled, model: str, json: bool) -> None:
    """Show the password before anything is awaited: it cannot be shown again."""
    line = publish_line(enrolled, model)
    if json:
        fields = {"org": enrolled.org, "device": enrolled.device, "model": model, "username": enrolled.username}
        print_json(fields | {"password": enrolled.password, "topic": up_topic(enrolled.org, enrolled.device), "publish": line})
        return
    out.print(f"user      {enrolled.username}\npassword  {enrolled.password}   (shown once)")
    out.print(f"\nPublish a reading as this device:\n{line}")


def list_(
    org: Annotated[str | None, typer.Option("--org", help="Only this organisation's.")] = None,
    retired: Annotated[bool, typer.Option("--retired", help="Retired ones, too.")] = False,
    json: Json = False,
) -> None:
    """List devices with who has them now."""
    with database() as connection:
        found = devices.list_devices(connection, org, retired_too=retired)
    if json:
        print_json([asdict(one) for one in found])
        return
    print_table(
        ("device", "model", "on loan to", "enrolled", "state"),
        ((f"{one.org}/{one.device}", one.model, one.subject or "-", shown(one.enrolled_at), _state(one)) for one in found),
        "No device yet. Enrol one: ./agora device add --help",
    )


def _state(device: devices.Device) -> str:
    if device.retired_at is not None:
        return "retired"
    return "in use" if device.settled else "waits for the keeper"


def show(device: DeviceName, json: Json = False) -> None:
    """Show a device's loans and clock corrections with their numbers."""
    org, name = split_device(device)
    with database() as connection:
        lent = loans.list_loans(connection, org, name)
        corrections = clocks.list_corrections(connection, org, name)
    if json:
        print_json({"loans": [_loan_json(one) for one in lent], "corrections": [asdict(one) for one in corrections]})
        return
    print_table(
        ("loan", "subject", "from", "until"),
        ((str(one.loan_id), one.subject, shown(one.start), shown(one.end, "still")) for one in lent),
        f"Nobody ever had it: ./agora device loan {device} SUBJECT",
    )
    if corrections:
        out.print()
        print_table(
            ("correction", "device time from", "until", "add"),
            (
                (str(one.correction_id), shown(one.start), shown(one.end, "still"), offset_words(one.offset))
                for one in corrections
            ),
            "",
        )


def _loan_json(one: LoanRow) -> dict[str, object]:
    end = None if one.end is None else to_text(one.end)
    return {"loan": one.loan_id, "subject": one.subject, "from": to_text(one.start), "until": end}


def loan(
    device: DeviceName,
    subject: Annotated[str, typer.Argument(help="Who gets it.")],
    start: From = "now",
    until: Until = None,
) -> None:
    """Lend a device; whose a reading is, is said by the loan at the time it was measured.

    Example:
      ./agora device loan clinic/ox-1 p-001 --from 2026-11-20T08:00Z
    """
    org, name = split_device(device)
    with database() as connection:
        _tell(
            loans.lend(connection, org, name, subject, _moment(start, "--from"), instant(until, "--until")), device, "unassigned"
        )


def return_(device: DeviceName, at: Annotated[str, typer.Option(help="When it came back.")] = "now") -> None:
    """End the running loan."""
    org, name = split_device(device)
    with database() as connection:
        _tell(loans.give_back(connection, org, name, _moment(at, "--at")), device, "unassigned")


def correct_loan(
    number: Annotated[int, typer.Argument(help="Number of the loan, see: device show.")],
    start: Annotated[str | None, typer.Option("--from", help="First moment.")] = None,
    until: Until = None,
    subject: Annotated[str | None, typer.Option(help="Who really had it; else as it was.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="The loan never was.")] = False,
) -> None:
    """Correct a loan; stored readings move to whom they belong.

    Example:
      ./agora device correct-loan 7 --from 2026-11-20T08:00Z --until 2026-11-21T18:00Z
    """
    with database() as connection:
        if remove:
            change = loans.remove(connection, number)
        elif start is None:
            raise Refused("Say when the loan began.", "Give --from, and --until if it is over; or --remove.")
        else:
            change = loans.correct(connection, number, subject, _moment(start, "--from"), instant(until, "--until"))
    _tell(change, f"loan {number}", "unassigned")


def correct_clock(
    device: DeviceName,
    by: Annotated[str | None, typer.Option("--by", help="What to add to the device's time: +1h30m, -90s, +20461d.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="First time it showed wrong, as the device showed it.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="First time it showed right again; else still wrong.")] = None,
    remove: Annotated[int | None, typer.Option("--remove", help="Take this correction back, see: device show.")] = None,
) -> None:
    """Record that a device's clock was wrong; stored readings follow, quarantined ones can be replayed.

    Example:
      ./agora device correct-clock clinic/ox-1 --by +1h --from 2026-11-20T08:00Z --until 2026-11-21T08:00Z
    """
    org, name = split_device(device)
    with database() as connection:
        if remove is not None:
            change = clocks.remove(connection, org, name, remove)
        elif by is None or start is None:
            raise Refused("Say by how much the clock was wrong, and since when.", "Give --by and --from; or --remove.")
        else:
            change = clocks.correct(connection, org, name, _moment(start, "--from"), instant(until, "--until"), offset(by))
    _tell(change, device, "clock")


def _tell(change: Change, what: str, code: str) -> None:
    notes.print(f"Recorded for {what}.")
    if change.readings.moved:
        notes.print(f"{change.readings.moved} stored readings moved with it.")
    if change.readings.set_aside:
        notes.print(f"{change.readings.set_aside} stored readings are nobody's now: set aside until a loan covers them.")
    if change.replayable:
        notes.print(f"{change.replayable} quarantined messages may go through now: ./agora quarantine replay --code {code}")


def _moment(text: str, option: str) -> int:
    found = instant(text, option)
    assert found is not None
    return found


def rotate(device: DeviceName, wait: Wait = WAIT_SECONDS, json: Json = False) -> None:
    """Give a device a new password, shown once; the old one ends at once."""
    org, name = split_device(device)
    with database() as connection:
        enrolled = devices.rotate_password(connection, org, name)
        model = devices.read_record(connection, org, name).model
        _show_credential(enrolled, model, json)
        wait_settled(connection, [enrolled.username], "Waiting for the keeper to change the password", wait)


def retire(device: DeviceName, wait: Wait = WAIT_SECONDS) -> None:
    """Take a device out of use: it is cut off, its loan ends now, what it measured until now stays."""
    org, name = split_device(device)
    with database() as connection:
        _tell(loans.retire(connection, org, name), device, "unassigned")
        wait_settled(connection, [device], "Waiting for the keeper to cut the device off", wait)
    notes.print(f"{device} is retired and cut off.")
