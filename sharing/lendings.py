"""Whose readings a device gives, as the registry says now: a reading may be named after whoever had the device before.

The normaliser names the subject by the loans it knew; between that and the release a device may have changed hands, or a loan may
have been corrected. So before anything is released the loan is looked for once more, among those known under the lease.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contracts.ids import device_key
from contracts.loans import Lent, borrower, lent
from contracts.observation import Observation
from contracts.registry import DeviceRecord

Loans = tuple[Lent, ...]


class Lendings:
    """All devices' loans, found by device; fed from the registry's topic."""

    def __init__(self) -> None:
        self._by_device: dict[str, Loans] = {}

    def put(self, device: str, record: DeviceRecord | None) -> None:
        """Take in a device's newest state.

        Args:
            device: ``<org>/<device>``.
            record: the state, or None where it is to be forgotten.
        """
        if record is None:
            self._by_device.pop(device, None)
        else:
            self._by_device[device] = lent(record)

    def sort(self, readings: Sequence[Observation], relied_on: dict[str, Loans]) -> tuple[list[Observation], list[Observation]]:
        """Tell the readings whose subject had the device at that time from the others.

        Args:
            readings: any.
            relied_on: given, by device, the loans that say so; for ``hold``.

        Returns:
            Those that may be released to whom their subject consents, and those whose device was not, or not alone, their
            subject's then. A device nothing is known of is nobody's.
        """
        theirs: list[Observation] = []
        others: list[Observation] = []
        for reading in readings:
            device = device_key(reading.org, reading.device)
            loans = self._by_device.get(device, ())
            loan = borrower(loans, reading.effective_at)
            if loan is not None and loan.subject == reading.subject:
                relied_on[device] = loans
                theirs.append(reading)
            else:
                others.append(reading)
        return theirs, others

    def hold(self, relied_on: Mapping[str, Loans]) -> bool:
        """Tell whether what was relied on is still all that is known of these devices."""
        known = self._by_device
        return all(known.get(device) is loans for device, loans in relied_on.items())
