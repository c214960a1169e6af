"""Whose a device's readings are: its loans as the hot paths ask them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from contracts.ids import partition_of
from contracts.registry import DeviceRecord
from contracts.topics import PARTITIONS

FOREVER = 2**63


class Lent(msgspec.Struct, frozen=True, gc=False):
    """A subject had the device in ``[start, end)``, microseconds; ``partition`` is the subject's."""

    start: int
    end: int
    subject: str
    partition: int


def lent(record: DeviceRecord) -> tuple[Lent, ...]:
    """Give a device's loans in the form that is asked for each reading."""
    return tuple(
        Lent(loan.start, FOREVER if loan.end is None else loan.end, loan.subject, partition_of(loan.subject, PARTITIONS))
        for loan in record.loans
    )


def borrower(loans: Iterable[Lent], instant: int) -> Lent | None:
    """Find who had a device: exactly one, never a guess (design section 5, 8).

    Args:
        loans: of the device.
        instant: microseconds; a reading's ``effective_at``.

    Returns:
        The loan, or None where no subject or more than one had the device then.
    """
    found: Lent | None = None
    for loan in loans:
        if loan.start <= instant < loan.end:
            if found is not None:
                return None
            found = loan
    return found
