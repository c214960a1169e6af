"""Readings as they come, for a person who looks on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from catalogue.registry import BY_CODE
from contracts.ids import device_key
from contracts.instants import to_text
from contracts.observation import Observation, Quality, decode_vitals
from contracts.topics import VITALS
from runtime.settings import KafkaSettings
from storage.log_reads import open_log

QUIET_SECONDS = 10.0
HEADING = f"{'measured (UTC)':<24} {'subject':<20} {'device':<32} {'vital':<10} {'value':>9} unit"


@dataclass(frozen=True)
class Filter:
    """Which readings.

    Attributes:
        device: ``<org>/<device>``, or empty for all.
        subject: or empty for all.
    """

    device: str = ""
    subject: str = ""

    def fits(self, one: Observation) -> bool:
        """Tell whether a reading is wanted."""
        return self.device in ("", device_key(one.org, one.device)) and self.subject in ("", one.subject)


@dataclass(frozen=True)
class Reading:
    """One reading as it is shown.

    Attributes:
        effective_at: when it was measured, RFC 3339.
        subject: whose.
        device: ``<org>/<device>``.
        vital: LOINC code.
        name: a few letters for it.
        value: in ``unit``.
        unit: UCUM.
        site: method or site, or empty.
        flags: names of quality flags.
    """

    effective_at: str
    subject: str
    device: str
    vital: str
    name: str
    value: float
    unit: str
    site: str
    flags: tuple[str, ...]


def reading(one: Observation) -> Reading:
    """Make an observation presentable."""
    vital = BY_CODE.get(one.vital)
    flags = tuple(
        str(flag.name).lower().replace("_", "-")
        for flag in Quality
        if flag and one.quality & flag and flag is not Quality.SEQUENCED
    )
    name = vital.short if vital is not None else one.vital
    key = device_key(one.org, one.device)
    return Reading(to_text(one.effective_at), one.subject, key, one.vital, name, one.value, one.unit, one.site, flags)


def line(one: Reading) -> str:
    """Write a reading as a line under ``HEADING``."""
    beside = " ".join(filter(None, (one.site, *one.flags)))
    when = one.effective_at[:23]
    return f"{when:<24} {one.subject:<20} {one.device:<32} {one.name:<10} {one.value:>9.5g} {one.unit}  {beside}".rstrip()


async def watch(
    settings: KafkaSettings,
    wanted: Filter,
    show: Callable[[Reading], None],
    quiet: Callable[[], None] | None,
    count: int = 0,
    seconds: float = 0.0,
) -> None:
    """Show readings that come from now on.

    Args:
        settings: Kafka, as a user that reads vitals.
        wanted: which.
        show: called with each.
        quiet: called once when nothing came for a while.
        count: stop after so many; 0 for never.
        seconds: stop after so long; 0 for never.

    Raises:
        Unavailable: Kafka does not answer.
    """
    began = time.monotonic()
    shown = 0
    async with open_log(settings) as log:
        async for records in log.follow(VITALS):
            for record in records:
                for one in _observations(record.value or b""):
                    if wanted.fits(one):
                        show(reading(one))
                        shown += 1
                        if shown == count:
                            return
            gone = time.monotonic() - began
            if seconds and gone >= seconds:
                return
            if quiet is not None and not shown and gone >= QUIET_SECONDS:
                quiet()
                quiet = None


def _observations(value: bytes) -> list[Observation]:
    try:
        return decode_vitals(value).observations
    except msgspec.MsgspecError:
        return []  # the store sets it aside and tells
