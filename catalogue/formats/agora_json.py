"""Agora's own JSON device format: one UTF-8 JSON object a message (docs/reference/schemas).

The hot path decodes strictly into slotted structs. Whatever it refuses, and whatever might hide a repeated key, goes through
``agora_json_careful``, which says where the fault is and in which words.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from catalogue.formats.decoded import Decoded, Reading, Warned
from contracts.errors import Code, Rejected
from contracts.instants import EPOCH, MICROSECOND

Sequence = Annotated[int, Meta(ge=0, le=2**63 - 1, description="Raised by one for each; gaps show what was lost.")]
Time = Annotated[datetime, Meta(tz=True, description="RFC 3339 with Z or an offset from UTC.")]
LoincCode = Annotated[str, Meta(min_length=1, max_length=32, description="LOINC code, see docs/reference/vitals.md.")]
Unit = Annotated[str, Meta(min_length=1, max_length=64, description="UCUM, case-sensitive form.")]
Site = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z", description="Method or body site.")]
MessageId = Annotated[str, Meta(min_length=1, max_length=64, description="Comes back in the receipt.")]


class Component(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One value of a panel."""

    code: LoincCode
    value: float
    unit: Unit


class ReadingForm(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One reading: ``value`` and ``unit``, or the ``components`` of a panel."""

    code: LoincCode
    value: float | UnsetType = UNSET
    unit: Unit | UnsetType = UNSET
    components: list[Component] | UnsetType = UNSET
    time: Time | UnsetType = UNSET
    sequence: Sequence | UnsetType = UNSET
    site: Site | UnsetType = UNSET
    estimated: bool | UnsetType = UNSET


class Message(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What a device publishes: ``readings``, or for one reading its fields at the top (the short form)."""

    message_id: MessageId | UnsetType = UNSET
    sequence: Sequence | UnsetType = UNSET
    time: Time | UnsetType = UNSET
    test: bool | UnsetType = UNSET
    readings: list[ReadingForm] | UnsetType = UNSET
    code: LoincCode | UnsetType = UNSET
    value: float | UnsetType = UNSET
    unit: Unit | UnsetType = UNSET
    components: list[Component] | UnsetType = UNSET
    site: Site | UnsetType = UNSET
    estimated: bool | UnsetType = UNSET


_decoder = msgspec.json.Decoder(Message)
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def schema() -> dict[str, Any]:
    """Give the format's JSON Schema (2020-12).

    Unknown fields at the top are refused by it although the platform only warns about them: a device's maker should see them.
    """
    return msgspec.json.schema(Message)


def decode(payload: bytes) -> Decoded:
    """Read a message.

    Args:
        payload: as the device sent it.

    Returns:
        Its readings, at least one, and warnings.

    Raises:
        Rejected: for everything that is not a message of this format, with the path of the fault.
    """
    try:
        message = _decoder.decode(payload)
    except _REFUSED:
        return _carefully(payload)
    gatherer = _Gatherer(message)
    decoded = gatherer.gather(())
    # JSON decoders keep the last of repeated keys. A repeated key brings two more quotation marks than the fields seen have, and
    # nothing can take marks away, so an equal number proves that there is none; any other is looked at closely.
    if payload.count(b'"') != gatherer.quotes:
        return _carefully(payload)
    return decoded


def gather(message: Message, warnings: tuple[Warned, ...]) -> Decoded:
    """Turn a decoded message into neutral readings.

    Args:
        message: decoded.
        warnings: what was left aside before.

    Returns:
        The readings.

    Raises:
        Rejected: when fields do not go together, a time is missing, or there is no reading.
    """
    return _Gatherer(message).gather(warnings)


def _carefully(payload: bytes) -> Decoded:
    from catalogue.formats.agora_json_careful import decode_carefully  # it needs this module's structs

    return decode_carefully(payload)


@lru_cache(maxsize=4096)
def path_of(position: int, component: int = -1) -> str:
    """Give the JSON path of a reading, or of a component of it."""
    path = f"$.readings[{position}]"
    return path if component < 0 else f"{path}.components[{component}]"


def _instant(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


class _Gatherer:
    """Collects readings and counts the quotation marks that the fields seen must have had in the payload."""

    __slots__ = ("message", "quotes", "readings", "sequence", "time")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.readings: list[Reading] = []
        self.quotes = 0
        self.time: int | None = None if message.time is UNSET else _instant(message.time)
        self.sequence: int | None = None if message.sequence is UNSET else message.sequence

    def gather(self, warnings: tuple[Warned, ...]) -> Decoded:
        message = self.message
        quotes = 4 if message.time is not UNSET else 0
        if message.sequence is not UNSET:
            quotes += 2
        if message.message_id is not UNSET:
            quotes += 4
        if message.test is not UNSET:
            quotes += 2
        self.quotes = quotes
        if message.readings is not UNSET:
            self._all(message.readings)
        else:
            self._short()
        if not self.readings:
            raise Rejected(Code.PAYLOAD_EMPTY, field="$.readings")
        message_id = None if message.message_id is UNSET else message.message_id
        return Decoded(message_id, message.test is True, self.readings, warnings)

    def _all(self, forms: list[ReadingForm]) -> None:
        message = self.message
        for name in ("code", "value", "unit", "components", "site", "estimated"):
            if getattr(message, name) is not UNSET:
                raise Rejected(Code.PAYLOAD_INVALID, f"'{name}' stands beside 'readings': send one or the other", f"$.{name}")
        self.quotes += 2
        for position, form in enumerate(forms):
            self._one(form, position, path_of(position))

    def _short(self) -> None:
        message = self.message
        if message.code is UNSET:
            raise Rejected(Code.PAYLOAD_EMPTY, "neither 'readings' nor 'code' was sent", "$")
        form = ReadingForm(
            message.code,
            message.value,
            message.unit,
            message.components,
            site=message.site,
            estimated=message.estimated,
        )
        self._one(form, 0, "$")

    def _one(self, form: ReadingForm, position: int, path: str) -> None:
        time, sequence, site, estimated, quotes = self.time, self.sequence, "", False, 4
        if form.time is not UNSET:
            time = _instant(form.time)
            quotes += 4
        if form.sequence is not UNSET:
            sequence = form.sequence
            quotes += 2
        if form.site is not UNSET:
            site = form.site
            quotes += 4
        if form.estimated is not UNSET:
            estimated = form.estimated
            quotes += 2
        if time is None:
            raise Rejected(Code.TIME_MISSING, field=f"{path}.time")
        if form.components is not UNSET:
            self._components(form, position, path, (time, sequence, site, estimated))
            self.quotes += quotes + 2
            return
        value, unit = form.value, form.unit
        if value is UNSET or unit is UNSET:
            missing = "value" if value is UNSET else "unit"
            raise Rejected(Code.PAYLOAD_INVALID, f"'{missing}' is missing", f"{path}.{missing}")
        self.quotes += quotes + 6
        self.readings.append(Reading(form.code, value, unit, time, sequence, site, estimated, "", position, path))

    def _components(self, form: ReadingForm, position: int, path: str, common: tuple[int, int | None, str, bool]) -> None:
        if form.value is not UNSET or form.unit is not UNSET:
            beside = "value" if form.value is not UNSET else "unit"
            raise Rejected(Code.PANEL_INVALID, f"'{beside}' stands beside 'components'", f"{path}.{beside}")
        parts = cast(list[Component], form.components)
        if not parts:
            raise Rejected(Code.PANEL_INVALID, "the panel holds no component", f"{path}.components")
        short = path == "$"
        for index, part in enumerate(parts):
            where = f"$.components[{index}]" if short else path_of(position, index)
            self.readings.append(Reading(part.code, part.value, part.unit, *common, form.code, position, where))
        self.quotes += 10 * len(parts)
