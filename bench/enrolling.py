"""Devices enrolled for a run that loads or disturbs the platform, each with its own credential."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from contracts.errors import Unavailable
from contracts.instants import DAY
from registry import devices, loans, organisations
from runtime import clock
from simulators.patients import DeviceCredential

MODEL = "agora-generic"
SETTLE_SECONDS = 60.0


@dataclass(frozen=True)
class Wanted:
    """A device a run needs.

    Attributes:
        device: its name.
        subject: who has it on loan, or empty for nobody.
    """

    device: str
    subject: str


def enrol(
    connection: Connection[Any], org: str, wanted: Sequence[Wanted], tell: Callable[[str], None], model: str = MODEL
) -> dict[str, DeviceCredential]:
    """Enrol devices; one that an earlier run enrolled gets a new password.

    Args:
        connection: operator's, autocommitting.
        org: organisation, made when it is not there.
        wanted: which.
        tell: told each step.
        model: of all of them.

    Returns:
        Credentials by device name, all of them let in by the broker.

    Raises:
        Unavailable: the keeper did not confirm in time.
    """
    tell(f"organisation {org}")
    if org not in {found.name for found in organisations.list_organisations(connection)}:
        organisations.add_organisation(connection, org, org)
    known = {found.name for found in organisations.list_subjects(connection)}
    for subject in sorted({one.subject for one in wanted} - known - {""}):
        organisations.add_subject(connection, subject, org, f"urn:agora:{org}", subject)
    there = {found.device for found in devices.list_devices(connection, org)}
    missing = [one for one in wanted if one.device not in there]
    made = devices.enrol_many(connection, [devices.NewDevice(org, one.device, model) for one in missing])
    passwords = {one.device: found.password for one, found in zip(missing, made, strict=True)}
    for one in missing:
        if one.subject:
            loans.lend(connection, org, one.device, one.subject, clock.now() - DAY)
    for one in wanted:
        if one.device not in passwords:
            passwords[one.device] = devices.rotate_password(connection, org, one.device).password
    found = {
        one.device: DeviceCredential(org=org, device=one.device, model=model, password=passwords[one.device], subject=one.subject)
        for one in wanted
    }
    keys = [one.key for one in found.values()]
    for settled in devices.wait_settled(connection, keys, SETTLE_SECONDS):
        tell(f"devices: {settled} of {len(keys)} may connect")
    if late := devices.unsettled(connection, keys):
        raise Unavailable(f"{len(late)} devices were not let in within {SETTLE_SECONDS:.0f} s; see ./agora logs keeper")
    return found
