"""Loans: who had a device, and when. They alone say whose a reading is (design section 5, 8)."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.ids import device_key
from contracts.instants import from_datetime, to_datetime
from contracts.registry import Loan, Period
from registry import devices, settlement
from registry.outbox import Database
from registry.records import checked_period, overlapping, period_words
from registry.refusal import Refused
from registry.settlement import Moved


@dataclass(frozen=True)
class LoanRow:
    """A loan as lists show it.

    Attributes:
        loan_id: number by which it is corrected.
        subject: who had the device.
        start: microseconds.
        end: microseconds, or None while it lasts.
    """

    loan_id: int
    subject: str
    start: int
    end: int | None


@dataclass(frozen=True)
class Change:
    """What a change did.

    Attributes:
        version: of the device's record in the outbox.
        readings: stored readings that moved with it.
        replayable: quarantined messages of the device that may now go through.
    """

    version: int
    readings: Moved
    replayable: int


def lend(connection: Database, org: str, device: str, subject: str, start: int, end: int | None = None) -> Change:
    """Lend a device to a subject.

    Args:
        connection: operator's.
        org: organisation of the device.
        device: device.
        subject: who gets it.
        start: microseconds; may lie in the past.
        end: microseconds, or None for "until it is returned".

    Returns:
        What changed.

    Raises:
        Refused: device or subject unknown, device retired, or another loan overlaps.
    """
    period = checked_period(start, end)
    with connection.transaction():
        key = devices.lock(connection, org, device)
        _check_free(connection, key, device_key(org, device), period)
        first = not settlement.ever_lent(connection, key)
        connection.execute(
            "INSERT INTO loans (device_key, subject_key, starts_at, ends_at) VALUES (%s, %s, %s, %s)",
            (key, subject_key(connection, subject), *_moments(period)),
        )
        return _announce(connection, org, device) if first else _finish(connection, key, org, device, [period])


def give_back(connection: Database, org: str, device: str, at: int) -> Change:
    """End the loan that runs at a moment.

    Raises:
        Refused: device unknown, or nobody had it at that moment.
    """
    with connection.transaction():
        key = devices.lock(connection, org, device, retired_too=True)
        running = [loan for loan in _loans(connection, key) if loan.start < at and (loan.end is None or loan.end > at)]
        if not running:
            raise Refused(
                f"Nobody has '{device_key(org, device)}' on loan at that time.",
                f"See: ./agora device show {device_key(org, device)}.",
            )
        loan = running[0]
        connection.execute("UPDATE loans SET ends_at = %s WHERE loan_id = %s", (to_datetime(at), loan.loan_id))
        return _finish(connection, key, org, device, [Period(start=at, end=loan.end)])


def retire(connection: Database, org: str, device: str) -> Change:
    """Take a device out of use: it is cut off at once, its running loan ends now, and one that is to come never was.

    What it measured until now stays, also what is still on its way; what it says it measured later is nobody's.

    Raises:
        Refused: there is no such device, or it was retired already.
    """
    with connection.transaction():
        key = devices.lock(connection, org, device)
        now = _retired_now(connection, key)
        ended = [loan for loan in _loans(connection, key) if loan.end is None or loan.end > now]
        connection.execute(
            "UPDATE loans SET ends_at = %(now)s WHERE device_key = %(key)s AND starts_at < %(now)s"
            " AND (ends_at IS NULL OR ends_at > %(now)s)",
            {"key": key, "now": to_datetime(now)},
        )
        connection.execute("DELETE FROM loans WHERE device_key = %s AND starts_at >= %s", (key, to_datetime(now)))
        if not ended:
            return _announce(connection, org, device)
        return _finish(connection, key, org, device, [Period(start=max(loan.start, now), end=loan.end) for loan in ended])


def correct(connection: Database, loan_id: int, subject: str | None, start: int, end: int | None) -> Change:
    """Correct a loan; stored readings move to whom they belong by it.

    Args:
        connection: operator's.
        loan_id: which.
        subject: who really had the device, or None to leave that.
        start: microseconds.
        end: microseconds, or None while it lasts.

    Returns:
        What changed. Readings that now belong to nobody are set aside, and come back when a loan covers them.

    Raises:
        Refused: loan or subject unknown, or another loan overlaps.
    """
    period = checked_period(start, end)
    with connection.transaction():
        key, org, device, old = _locked(connection, loan_id)
        _check_free(connection, key, device_key(org, device), period, but=loan_id)
        who = subject_key(connection, subject or old.subject)
        connection.execute(
            "UPDATE loans SET subject_key = %s, starts_at = %s, ends_at = %s WHERE loan_id = %s",
            (who, *_moments(period), loan_id),
        )
        return _finish(connection, key, org, device, [Period(start=old.start, end=old.end), period])


def remove(connection: Database, loan_id: int) -> Change:
    """Take back a loan that never was.

    Raises:
        Refused: there is no such loan.
    """
    with connection.transaction():
        key, org, device, old = _locked(connection, loan_id)
        connection.execute("DELETE FROM loans WHERE loan_id = %s", (loan_id,))
        return _finish(connection, key, org, device, [Period(start=old.start, end=old.end)])


def list_loans(connection: Database, org: str, device: str) -> list[LoanRow]:
    """List a device's loans in the order of their start.

    Raises:
        Refused: there is no such device.
    """
    with connection.transaction():
        return _loans(connection, devices.lock(connection, org, device, retired_too=True))


def subject_key(connection: Database, subject: str) -> int:
    """Find a subject.

    Raises:
        Refused: there is none.
    """
    row = connection.execute("SELECT subject_key FROM subjects WHERE name = %s", (subject,)).fetchone()
    if row is None:
        raise Refused(f"There is no subject '{subject[:80]}'.", "See: ./agora subject list.")
    return int(row[0])


def replayable(connection: Database, org: str, device: str, code: str) -> int:
    """Count quarantined messages of a device that await a correction."""
    row = connection.execute(
        "SELECT coalesce(sum(messages), 0) FROM quarantine WHERE org = %s AND device = %s AND code = %s AND replayed_at IS NULL",
        (org, device, code),
    ).fetchone()
    assert row is not None
    return int(row[0])


def _finish(connection: Database, key: int, org: str, device: str, touched: list[Period]) -> Change:
    """Move readings, then tell the processors; in this order, since the outbox holds up other writers until the commit."""
    span = settlement.span_of(touched, settlement.widest_offset(connection, key))
    moved = settlement.move(connection, key, span)
    waiting = replayable(connection, org, device, "unassigned")
    version = devices.announce(connection, org, device)
    settlement.request(connection, key, span, version)
    return Change(version, moved, waiting)


def _announce(connection: Database, org: str, device: str) -> Change:
    """Tell the processors alone: no loan of before was touched, so no reading was named by one, on its way neither."""
    waiting = replayable(connection, org, device, "unassigned")
    return Change(devices.announce(connection, org, device), Moved(0, 0), waiting)


def _retired_now(connection: Database, key: int) -> int:
    row = connection.execute(
        "UPDATE devices SET retired_at = now(), broker_settled_at = NULL WHERE device_key = %s RETURNING retired_at", (key,)
    ).fetchone()
    assert row is not None, "it is locked"
    return from_datetime(row[0])


def _loans(connection: Database, key: int) -> list[LoanRow]:
    rows = connection.execute(
        "SELECT l.loan_id, s.name, l.starts_at, l.ends_at FROM loans l JOIN subjects s USING (subject_key)"
        " WHERE l.device_key = %s ORDER BY l.starts_at",
        (key,),
    )
    return [LoanRow(number, who, from_datetime(a), None if b is None else from_datetime(b)) for number, who, a, b in rows]


def _locked(connection: Database, loan_id: int) -> tuple[int, str, str, LoanRow]:
    row = connection.execute(
        "SELECT d.org, d.name FROM loans l JOIN devices d USING (device_key) WHERE l.loan_id = %s", (loan_id,)
    ).fetchone()
    if row is None:
        raise Refused(f"There is no loan {loan_id}.", "See: ./agora device show ORG/DEVICE.")
    key = devices.lock(connection, *row, retired_too=True)
    found = [loan for loan in _loans(connection, key) if loan.loan_id == loan_id]
    if not found:
        raise Refused(f"There is no loan {loan_id} any more.")
    return key, row[0], row[1], found[0]


def _check_free(connection: Database, key: int, device: str, period: Period, but: int | None = None) -> None:
    others = [loan for loan in _loans(connection, key) if loan.loan_id != but]
    clash = overlapping(period, [Loan(subject=loan.subject, start=loan.start, end=loan.end) for loan in others])
    if clash is not None:
        raise Refused(
            f"'{device}' is on loan to '{clash.subject}' {period_words(clash.start, clash.end)}, which overlaps.",
            f"End that loan first (./agora device return {device}), or correct it (./agora device correct-loan).",
        )


def _moments(period: Period) -> tuple[object, object]:
    return to_datetime(period.start), None if period.end is None else to_datetime(period.end)
