"""Devices: enrolled with a credential of their own, rotated; ``registry.loans`` lends and retires them.

Order of an enrolment: the row and its outbox record in one transaction here; the keeper confirms the record in Kafka, then
lets the broker accept the device. So a device that can connect is known to every processor.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.errors import ForeignKeyViolation

from contracts.ids import device_key
from contracts.registry import DeviceRecord
from contracts.topics import REGISTRY_DEVICES
from registry import outbox, passwords
from registry.organisations import unknown_organisation
from registry.outbox import Database
from registry.records import checked_model, checked_name, device_record
from registry.refusal import Refused


@dataclass(frozen=True)
class NewDevice:
    """What to enrol.

    Attributes:
        org: organisation.
        device: name within it.
        model: of the catalogue.
    """

    org: str
    device: str
    model: str


@dataclass(frozen=True)
class Enrolled:
    """An enrolled device and its password, which stands nowhere else.

    Attributes:
        org: organisation.
        device: name within it.
        username: of the broker, ``<org>/<device>``.
        password: in clear, to be shown once.
        version: of the outbox record.
    """

    org: str
    device: str
    username: str
    password: str
    version: int

    def __repr__(self) -> str:
        """Leave the password out: it must not come into a log by way of a message."""
        return f"Enrolled({self.username!r})"


@dataclass(frozen=True)
class Device:
    """A device as lists show it.

    Attributes:
        org: organisation.
        device: name within it.
        model: of the catalogue.
        subject: who has it on loan now, or None.
        enrolled_at: when the row was made.
        retired_at: when it was taken out of use, or None.
        settled: whether the broker has taken over what the row says.
    """

    org: str
    device: str
    model: str
    subject: str | None
    enrolled_at: datetime
    retired_at: datetime | None
    settled: bool


def enrol(connection: Database, org: str, device: str, model: str) -> Enrolled:
    """Enrol a device, or take a retired one back into use; ``enrol_many`` tells the rest."""
    return enrol_many(connection, [NewDevice(org, device, model)])[0]


def enrol_many(connection: Database, new: Sequence[NewDevice]) -> list[Enrolled]:
    """Enrol devices in one transaction: all of them or none.

    Args:
        connection: operator's.
        new: which; a name that was retired comes back with a new password.

    Returns:
        Their passwords, in the same order.

    Raises:
        Refused: a name or model is not allowed, a device is enrolled already or named twice, an organisation is unknown.
    """
    made = {device_key(one.org, one.device): passwords.generate() for one in new}
    if len(made) != len(new):
        raise Refused("A device is named twice.")
    for one in new:
        checked_name(one.org, "an organisation")
        checked_name(one.device, "a device")
        checked_model(one.model)
    with connection.transaction():
        _insert(connection, new, made)
        records = [(key, read_record(connection, one.org, one.device)) for one, key in zip(new, made, strict=True)]
        versions = outbox.append_many(connection, REGISTRY_DEVICES, records)
    keys = zip(new, made.items(), versions, strict=True)
    return [Enrolled(one.org, one.device, key, password, version) for one, (key, password), version in keys]


def _insert(connection: Database, new: Sequence[NewDevice], made: dict[str, str]) -> None:
    hashes = [passwords.hash_for_broker(password) for password in made.values()]
    try:
        with connection.transaction():
            rows = connection.execute(
                "INSERT INTO devices AS d (org, name, model, broker_password_hash)"
                " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])"
                " ON CONFLICT (org, name) DO UPDATE SET model = excluded.model,"
                "  broker_password_hash = excluded.broker_password_hash,"
                "  retired_at = NULL, broker_settled_at = NULL WHERE d.retired_at IS NOT NULL"
                " RETURNING org || '/' || name",
                ([one.org for one in new], [one.device for one in new], [one.model for one in new], hashes),
            ).fetchall()
    except ForeignKeyViolation:
        known = {name for (name,) in connection.execute("SELECT name FROM organisations")}
        raise unknown_organisation(next((one.org for one in new if one.org not in known), new[0].org)) from None
    taken = made.keys() - {key for (key,) in rows}
    if taken:
        raise Refused(f"Enrolled already: {', '.join(sorted(taken))}.", "For a new password: ./agora device rotate ORG/DEVICE.")


def lock(connection: Database, org: str, device: str, *, retired_too: bool = False) -> int:
    """Lock a device for the rest of the transaction, so that two changes of it cannot overlook each other.

    Args:
        connection: in a transaction.
        org: organisation.
        device: device.
        retired_too: whether a retired one will do.

    Returns:
        Its key in the database.

    Raises:
        Refused: there is none, or it was retired.
    """
    row = connection.execute(
        "SELECT device_key, retired_at FROM devices WHERE org = %s AND name = %s FOR UPDATE", (org, device)
    ).fetchone()
    if row is None:
        raise Refused(f"There is no device '{device_key(org, device)}'.", "See: ./agora device list.")
    if row[1] is not None and not retired_too:
        raise Refused(f"The device '{device_key(org, device)}' was retired.", "Enrol it again: ./agora device add.")
    return int(row[0])


def read_record(connection: Database, org: str, device: str) -> DeviceRecord:
    """Make a device's record from its rows as this transaction sees them.

    Raises:
        Refused: there is no such device.
    """
    row = connection.execute(
        "SELECT device_key, model, retired_at FROM devices WHERE org = %s AND name = %s", (org, device)
    ).fetchone()
    if row is None:
        raise Refused(f"There is no device '{device_key(org, device)}'.", "See: ./agora device list.")
    key, model, retired_at = row
    loans = connection.execute(
        "SELECT s.name, l.starts_at, l.ends_at FROM loans l JOIN subjects s USING (subject_key) WHERE l.device_key = %s", (key,)
    ).fetchall()
    corrections = connection.execute(
        "SELECT offset_microseconds, starts_at, ends_at FROM clock_corrections WHERE device_key = %s", (key,)
    ).fetchall()
    return device_record(org, device, model, retired_at, loans, corrections)


def announce(connection: Database, org: str, device: str) -> int:
    """Put a device's record as it now is into the outbox; call it last in a transaction.

    Returns:
        The record's version.
    """
    return outbox.append(connection, REGISTRY_DEVICES, device_key(org, device), read_record(connection, org, device))


def rotate_password(connection: Database, org: str, device: str) -> Enrolled:
    """Give a device a new password; the old one ends at once, with the connection that uses it.

    Raises:
        Refused: there is no such device, or it was retired.
    """
    password = passwords.generate()
    with connection.transaction():
        key = lock(connection, org, device)
        connection.execute(
            "UPDATE devices SET broker_password_hash = %s, broker_settled_at = NULL WHERE device_key = %s",
            (passwords.hash_for_broker(password), key),
        )
        version = announce(connection, org, device)
    return Enrolled(org, device, device_key(org, device), password, version)


def list_devices(connection: Database, org: str | None = None, *, retired_too: bool = False) -> list[Device]:
    """List devices by organisation and name.

    Args:
        connection: operator's.
        org: only this organisation's, or None for all.
        retired_too: whether retired ones are listed, too.
    """
    rows = connection.execute(
        "SELECT d.org, d.name, d.model, s.name, d.created_at, d.retired_at, d.broker_settled_at IS NOT NULL FROM devices d"
        " LEFT JOIN loans l ON l.device_key = d.device_key AND tstzrange(l.starts_at, l.ends_at) @> now()"
        " LEFT JOIN subjects s ON s.subject_key = l.subject_key"
        " WHERE (%(org)s::text IS NULL OR d.org = %(org)s) AND (%(all)s OR d.retired_at IS NULL) ORDER BY d.org, d.name",
        {"org": org, "all": retired_too},
    )
    return [Device(*row) for row in rows]


def unsettled(connection: Database, devices: Iterable[str]) -> list[str]:
    """Tell which of these devices (``<org>/<device>``) the broker has not settled yet."""
    rows = connection.execute(
        "SELECT org || '/' || name FROM devices WHERE org || '/' || name = ANY(%s) AND broker_settled_at IS NULL",
        (list(devices),),
    )
    return [key for (key,) in rows]


def wait_settled(connection: Database, devices: Sequence[str], seconds: float) -> Iterator[int]:
    """Wait until the broker has taken over what the rows say, telling the progress.

    Args:
        connection: operator's, not in a transaction.
        devices: ``<org>/<device>`` each.
        seconds: how long at most.

    Yields:
        How many are still awaited, a few times a second; the last one is 0, or what was left when the time was over.
    """
    deadline = time.monotonic() + seconds
    connection.execute("LISTEN agora_broker_settled")
    try:
        while waiting := len(unsettled(connection, devices)):
            yield waiting
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return
            for _ in connection.notifies(timeout=min(0.5, remaining), stop_after=1):
                pass
        yield 0
    finally:
        connection.execute("UNLISTEN agora_broker_settled")
