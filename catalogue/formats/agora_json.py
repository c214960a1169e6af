"""Agora's own JSON device format: one UTF-8 JSON object a message (docs/reference/schemas).

The hot path decodes strictly into slotted structs, those of plain readings first, of which most messages are made. Whatever it
refuses, and whatever might hide a repeated key, goes through ``agora_json_careful``, which says where the fault is and in which
words.
"""

from __future__ import annotations

from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from catalogue.formats.decoded import Decoded, Reading, Warned
from contracts.errors import Code, Rejected
from contracts.instants import EPOCH, MICROSECOND
from contracts.observation import SITE_PATTERN

Sequence = Annotated[int, Meta(ge=0, le=2**63 - 1, description="Raised by one for each; gaps show what was lost.")]
Time = Annotated[datetime, Meta(tz=True, description="RFC 3339 with Z or an offset from UTC.")]
LoincCode = Annotated[str, Meta(min_length=1, max_length=32, description="LOINC code, see docs/reference/vitals.md.")]
Unit = Annotated[str, Meta(min_length=1, max_length=64, description="UCUM, case-sensitive form.")]
Site = Annotated[str, Meta(pattern=SITE_PATTERN, description="Method or body site.")]
MessageId = Annotated[str, Meta(min_length=1, max_length=64, description="Comes back in the receipt.")]


class Component(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One value of a panel."""

    code: LoincCode
    value: float
    unit: Unit


class ReadingForm(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One reading: ``value`` and ``unit``, or the ``components`` of a panel."""

    code: LoincCode
    value: float | UnsetType = UNSET
    unit: Unit | UnsetType = UNSET
    components: list[Component] | UnsetType = UNSET
    time: Time | UnsetType = UNSET
    sequence: Sequence | UnsetType = UNSET
    site: Site | UnsetType = UNSET
    estimated: bool | UnsetType = UNSET


class Message(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
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


class PlainReading(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A reading that says nothing of its own but what was measured."""

    code: LoincCode
    value: float
    unit: Unit


class PlainMessage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What most messages are: plain readings, which have everything else in common."""

    readings: list[PlainReading]
    time: Time
    sequence: Sequence | UnsetType = UNSET
    message_id: MessageId | UnsetType = UNSET
    test: bool | UnsetType = UNSET


_READINGS = b'"readings"'
_plain_decoder = msgspec.json.Decoder(PlainMessage)
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
    plain = _decode_plain(payload) if _READINGS in payload else None
    return _decode_any(payload) if plain is None else plain


def _decode_plain(payload: bytes) -> Decoded | None:
    """Read a message of plain readings, which takes two thirds of the time; None for any other."""
    try:
        message = _plain_decoder.decode(payload)
    except _REFUSED:
        return None
    sequence, message_id, quotes = _envelope(message)
    quotes += 6 + 10 * len(message.readings)  # those of time and readings, and of each reading
    if payload.count(b'"') != quotes or not 0 < len(message.readings) <= PATHS:  # see ``_decode_any``
        return None
    time = (message.time - EPOCH) // MICROSECOND
    readings = [
        Reading(one.code, one.value, one.unit, time, sequence, "", False, "", position, _PATHS[position])
        for position, one in enumerate(message.readings)
    ]
    return Decoded(message_id, message.test is True, readings)


def _envelope(message: PlainMessage | Message) -> tuple[int | None, str | None, int]:
    """Give the sequence and id that a message may have, and the quotation marks of these fields and of ``test``."""
    sequence, message_id, quotes = None, None, 0
    if message.sequence is not UNSET:
        sequence = message.sequence
        quotes = 2
    if message.message_id is not UNSET:
        message_id = message.message_id
        quotes += 4
    if message.test is not UNSET:
        quotes += 2
    return sequence, message_id, quotes


def _decode_any(payload: bytes) -> Decoded:
    try:
        message = _decoder.decode(payload)
    except _REFUSED:
        return _carefully(payload)
    decoded, quotes = gather(message, ())
    # JSON decoders keep the last of repeated keys. A repeated key brings two more quotation marks than the fields seen have, and
    # nothing can take marks away, so an equal number proves that there is none; any other is looked at closely.
    if payload.count(b'"') != quotes:
        return _carefully(payload)
    return decoded


def _carefully(payload: bytes) -> Decoded:
    from catalogue.formats.agora_json_careful import decode_carefully  # it needs this module's structs

    return decode_carefully(payload)


PATHS = 256
_PATHS = tuple(f"$.readings[{position}]" for position in range(PATHS))
_SHORT_PATHS: tuple[str, ...] = ("$",)


def path_of(position: int, component: int = -1) -> str:
    """Give the JSON path of a reading, or of a component of it."""
    path = _PATHS[position] if position < PATHS else f"$.readings[{position}]"
    return path if component < 0 else f"{path}.components[{component}]"


def gather(message: Message, warnings: tuple[Warned, ...]) -> tuple[Decoded, int]:
    """Turn a decoded message into neutral readings.

    Args:
        message: decoded.
        warnings: what was left aside before.

    Returns:
        The message, and how many quotation marks the fields seen must have had in the payload.

    Raises:
        Rejected: when fields do not go together, a time is missing, or there is no reading.
    """
    sequence, message_id, quotes = _envelope(message)
    time = None
    if message.time is not UNSET:
        time = (message.time - EPOCH) // MICROSECOND
        quotes += 4
    if message.readings is UNSET:
        forms, paths = [_short_form(message)], _SHORT_PATHS
    else:
        _refuse_mixed(message)
        quotes += 2
        forms = message.readings
        paths = _PATHS if len(forms) <= PATHS else tuple(path_of(position) for position in range(len(forms)))
    readings, seen = _gather_all(forms, paths, time, sequence)
    if not readings:
        raise Rejected(Code.PAYLOAD_EMPTY, field="$.readings")
    return Decoded(message_id, message.test is True, readings, warnings), quotes + seen


_SHORT_FORM = attrgetter("code", "value", "unit", "components", "site", "estimated")
_NOTHING = (UNSET,) * 6


def _refuse_mixed(message: Message) -> None:
    sent = _SHORT_FORM(message)
    if sent == _NOTHING:
        return
    for name, value in zip(("code", "value", "unit", "components", "site", "estimated"), sent, strict=True):
        if value is not UNSET:
            raise Rejected(Code.PAYLOAD_INVALID, f"'{name}' stands beside 'readings': send one or the other", f"$.{name}")


def _short_form(message: Message) -> ReadingForm:
    if message.code is UNSET:
        raise Rejected(Code.PAYLOAD_EMPTY, "neither 'readings' nor 'code' was sent", "$")
    return ReadingForm(
        message.code, message.value, message.unit, message.components, site=message.site, estimated=message.estimated
    )


def _gather_all(
    forms: list[ReadingForm], paths: tuple[str, ...], time_of_all: int | None, sequence_of_all: int | None
) -> tuple[list[Reading], int]:
    """Give the readings, and the components, of all forms, and the quotation marks of their fields."""
    readings: list[Reading] = []
    quotes = 10 * len(forms)
    for position, form in enumerate(forms):
        time, sequence, site, estimated = time_of_all, sequence_of_all, "", False
        if form.time is not UNSET:
            time = (form.time - EPOCH) // MICROSECOND
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
        path = paths[position]
        if time is None:
            raise Rejected(Code.TIME_MISSING, field=f"{path}.time")
        value, unit = form.value, form.unit
        if form.components is not UNSET:
            quotes += _gather_panel(form, form.components, (time, sequence, site, estimated), position, path, readings)
        elif value is UNSET or unit is UNSET:
            missing = "value" if value is UNSET else "unit"
            raise Rejected(Code.PAYLOAD_INVALID, f"'{missing}' is missing", f"{path}.{missing}")
        else:
            readings.append(Reading(form.code, value, unit, time, sequence, site, estimated, "", position, path))
    return readings, quotes


def _gather_panel(
    form: ReadingForm,
    parts: list[Component],
    common: tuple[int, int | None, str, bool],
    position: int,
    path: str,
    readings: list[Reading],
) -> int:
    for name in ("value", "unit"):
        if getattr(form, name) is not UNSET:
            raise Rejected(Code.PANEL_INVALID, f"'{name}' stands beside 'components'", f"{path}.{name}")
    if not parts:
        raise Rejected(Code.PANEL_INVALID, "the panel holds no component", f"{path}.components")
    for index, part in enumerate(parts):
        where = f"{path}.components[{index}]"
        readings.append(Reading(part.code, part.value, part.unit, *common, form.code, position, where))
    return 10 * len(parts) - 4
