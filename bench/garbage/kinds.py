"""The kinds of garbage: for each, how one message of it is made, and with which codes it must be refused. Pure, and seeded.

A message here is refused by construction, whatever its random parts are; what might by luck be a valid reading is no kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from bench.garbage.foreign import FOREIGN
from contracts.errors import Code


class Moment(NamedTuple):
    """When a message is made.

    Attributes:
        time: RFC 3339 in UTC, the present.
        number: the message's own, for its sequence.
    """

    time: str
    number: int


Make = Callable[[Random, Moment], bytes]


@dataclass(frozen=True, slots=True)
class Kind:
    """One way in which a message can be garbage.

    Attributes:
        name: in reports.
        codes: it must be refused with one of these.
        make: writes one.
        weight: how often it comes, relative to the others.
        stream: writes the levels of its topic behind ``up/``.
        lent: whether it comes from a device that somebody has on loan.
        told: whether the device is told on ``down/errors``; not where its topic cannot be read.
    """

    name: str
    codes: frozenset[Code]
    make: Make
    weight: int = 100
    stream: Callable[[Random], str] = lambda chance: "vitals"
    lent: bool = True
    told: bool = True


def message(
    moment: Moment,
    *,
    code: str = '"8867-4"',
    value: str = "72",
    unit: str = '"/min"',
    time: str = "",
    top: str = "",
    more: str = "",
) -> bytes:
    """Write a message of one heart rate of which parts are replaced by other JSON text.

    Args:
        moment: its time and number.
        code: JSON of the reading's code.
        value: of its value.
        unit: of its unit.
        time: of the message's time, the present when empty.
        top: members put in front, each with its comma behind.
        more: members of the reading, each with its comma in front.

    Returns:
        The payload; a valid one when nothing is replaced.
    """
    return (
        f'{{{top}"sequence":{moment.number},"time":{time or _text(moment.time)},'
        f'"readings":[{{"code":{code},"value":{value},"unit":{unit}{more}}}]}}'
    ).encode("utf-8", "surrogatepass")


def _text(words: str) -> str:
    return f'"{words}"'


def _word(chance: Random, letters: str = "abcdefghijklmnopqrstuvwxyz0123456789", longest: int = 12) -> str:
    return "".join(chance.choices(letters, k=chance.randint(1, longest)))


BAD_UTF8 = (
    b"\xff",
    b"\x80",
    b"\xc0\xaf",
    b"\xe2\x28\xa1",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xc3",
)


def _bad_utf8(chance: Random, moment: Moment) -> bytes:
    good = message(moment)
    at = chance.randrange(len(good))
    return good[:at] + chance.choice(BAD_UTF8) + good[at:]


def _truncated(chance: Random, moment: Moment) -> bytes:
    good = message(moment)
    return good[: chance.randrange(len(good))]


def _noise(chance: Random, _: Moment) -> bytes:
    return b"\xfe" + chance.randbytes(chance.randint(0, 300))


def _huge_number(chance: Random, moment: Moment) -> bytes:
    digits = str(chance.randint(1, 9)) + "0" * chance.choice((309, 400, 4_000, 5_000, 60_000))
    return message(moment, value=chance.choice((digits, f"-{digits}", f"{digits}.5", "1e309", "-9e99999", f"1e{digits[:12]}")))


def _not_finite(chance: Random, moment: Moment) -> bytes:
    return message(moment, value=chance.choice(("NaN", "Infinity", "-Infinity", "1e999")))


def _not_json(chance: Random, moment: Moment) -> bytes:
    return message(
        moment, value=chance.choice(("nan", "inf", "0x48", "072", "+72", "72,", ".5", "7 2", "'72'", "undefined", "--1"))
    )


def _nested(chance: Random, moment: Moment) -> bytes:
    depth = chance.choice((2, 10, 100, 900, 1_100, 10_000, 40_000))
    kind = chance.randrange(4)
    if kind == 0:
        return b"[" * depth
    if kind == 1:
        return b"[" * depth + b"]" * depth
    if kind == 2:
        return message(moment, value='{"a":' * depth + "1" + "}" * depth)
    return message(moment, more=',"site":' + "[" * depth + "]" * depth)


def _clock(chance: Random, moment: Moment) -> bytes:
    year = chance.choice(
        ("1970-01-01T00:00:00Z", "2099-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59Z")
    )
    return message(
        moment,
        time=_text(chance.choice((year, "9999-12-31T23:59:59.999999-23:59", f"{chance.randint(1971, 2020)}-02-03T04:05:06Z"))),
    )


def _no_zone(chance: Random, moment: Moment) -> bytes:
    return message(moment, time=_text(moment.time.removesuffix("Z")))


def _no_time(chance: Random, moment: Moment) -> bytes:
    reading = f'{{"code":"8867-4","value":{chance.randint(40, 180)},"unit":"/min"}}'
    return f'{{"sequence":{moment.number},"readings":[{reading}]}}'.encode()


def _wrong_type(chance: Random, moment: Moment) -> bytes:
    field = chance.choice(("code", "value", "unit", "time"))
    wrong = {
        "code": ("8867", "null", '["8867-4"]', "true", '""'),
        "value": ('"72"', "null", "true", "[72]", "{}", '"NaN"'),
        "unit": ("1", "null", "false", "{}", '""'),
        "time": ("1764064800", "null", "{}", '"yesterday"', '"2026-13-45T99:99:99Z"', "[]", "1e12"),
    }
    return message(moment, **{field: chance.choice(wrong[field])})


def _wrong_beside(chance: Random, moment: Moment) -> bytes:
    inside = (
        ',"site":7', ',"site":"left arm"', ',"site":"\\u0000"', ',"estimated":1', ',"sequence":-1',
        ',"sequence":9223372036854775808',
        ',"sequence":"5"', ',"sequence":1.5', ',"components":7', ',"time":5',
    )  # fmt: skip
    beside = (
        '"test":"yes",',
        '"message_id":7,',
        '"message_id":"",',
        f'"message_id":"{"m" * 65}",',
        '"test":null,',
        '"code":"8867-4",',
    )
    return message(moment, more=chance.choice(inside)) if chance.random() < 0.6 else message(moment, top=chance.choice(beside))


def _not_an_object(chance: Random, moment: Moment) -> bytes:
    return chance.choice((b"null", b"true", b"72", b'"heart rate"', b"[]", b"[" + message(moment) + b"]", b" 1e5 ", b"-0"))


def _no_reading(chance: Random, moment: Moment) -> bytes:
    return chance.choice(
        (b"{}", f'{{"time":"{moment.time}","readings":[]}}'.encode(), f'{{"battery":{chance.randint(0, 100)}}}'.encode())
    )


def _unknown_vital(chance: Random, moment: Moment) -> bytes:
    return message(
        moment, code=_text(chance.choice(("0000-0", "8867-5", "heart-rate", "HR", "MDC_PULS_OXIM", f"x-{_word(chance)}")))
    )


def _unknown_unit(chance: Random, moment: Moment) -> bytes:
    return message(moment, unit=_text(chance.choice(("bpm", "BPM", "beats", "\\u0000", "°", f"{_word(chance)}?", "?" * 64))))


def _wrong_unit(chance: Random, moment: Moment) -> bytes:
    return message(moment, unit=_text(chance.choice(("kg", "mm[Hg]", "Cel", "%", "m", "[degF]"))))


def _unknown_field(chance: Random, moment: Moment) -> bytes:
    return message(moment, more=f',"x{_word(chance)}":{chance.choice(("1", "null", "[]", _text(_word(chance))))}')


def _repeated_key(chance: Random, moment: Moment) -> bytes:
    if chance.random() < 0.5:
        return message(moment, more=chance.choice((',"value":71', ',"unit":"/min"', ',"code":"8867-4"', ',"v\\u0061lue":90')))
    return message(moment, top=chance.choice(('"sequence":1,', f'"time":"{moment.time}",', '"readings":[],')))


def _surrogate(chance: Random, moment: Moment) -> bytes:
    half = chance.choice(("\\ud800", "\\udfff", "\\udc00\\ud800"))
    return chance.choice(
        (message(moment, unit=_text(half)), message(moment, top=f'"message_id":"{half}",'), message(moment, code=_text(half)))
    )


def _panel(chance: Random, moment: Moment) -> bytes:
    systolic = '{"code":"8480-6","value":120,"unit":"mm[Hg]"}'
    pulse = '{"code":"8867-4","value":70,"unit":"/min"}'
    parts = chance.choice(("", f"{systolic},{systolic}", f"{systolic},{pulse}"))
    wrong = f'{{"code":"85354-9","components":[{parts}]}}'
    unknown = f'{{"code":"0000-0","components":[{systolic}]}}'
    alone = '{"code":"85354-9","value":120,"unit":"mm[Hg]"}'
    reading = chance.choice((wrong, wrong, unknown, alone))
    return f'{{"sequence":{moment.number},"time":"{moment.time}","readings":[{reading}]}}'.encode()


def _foreign(chance: Random, _: Moment) -> bytes:
    return chance.choice(FOREIGN)


def _long(chance: Random, moment: Moment) -> bytes:
    """As long as the broker takes: thousands of good readings, of which the last is none."""
    good = '{"code":"8867-4","value":72,"unit":"/min"},' * chance.randint(1_000, 5_000)
    last = '{"code":"8867-4","value":"72","unit":"/min"}'
    return f'{{"sequence":{moment.number},"time":"{moment.time}","readings":[{good}{last}]}}'.encode()


def _good(chance: Random, moment: Moment) -> bytes:
    return message(moment, value=str(chance.randint(50, 120)))


def _wrong_topic(chance: Random) -> str:
    return chance.choice(
        ("vitals/extra", "", "Vitals", "vitals ", "vitals/", f"a/{_word(chance)}", "x" * chance.randint(65, 20_000), "é")
    )


def _wrong_stream(chance: Random) -> str:
    return chance.choice(("ecg", "vital", "errors", "down", f"s-{_word(chance)}"))


def _codes(*codes: Code) -> frozenset[Code]:
    return frozenset(codes)


KINDS: tuple[Kind, ...] = (
    Kind("bad UTF-8", _codes(Code.PAYLOAD_UNDECODABLE), _bad_utf8),
    Kind("truncated", _codes(Code.PAYLOAD_UNDECODABLE), _truncated),
    Kind("noise", _codes(Code.PAYLOAD_UNDECODABLE), _noise),
    Kind("not JSON", _codes(Code.PAYLOAD_UNDECODABLE), _not_json),
    Kind("half a surrogate pair", _codes(Code.PAYLOAD_UNDECODABLE), _surrogate),
    Kind("huge number", _codes(Code.VALUE_NOT_FINITE), _huge_number, weight=20),
    Kind("NaN or infinite", _codes(Code.VALUE_NOT_FINITE), _not_finite),
    Kind("nested deeply", _codes(Code.PAYLOAD_UNDECODABLE, Code.PAYLOAD_INVALID), _nested, weight=20),
    Kind("1970, 2099 and such", _codes(Code.CLOCK), _clock),
    Kind("time without zone", _codes(Code.TIME_WITHOUT_ZONE), _no_zone),
    Kind("no time", _codes(Code.TIME_MISSING), _no_time),
    Kind("wrong type", _codes(Code.PAYLOAD_INVALID), _wrong_type),
    Kind("wrong beside the value", _codes(Code.PAYLOAD_INVALID), _wrong_beside),
    Kind("not an object", _codes(Code.PAYLOAD_INVALID), _not_an_object),
    Kind("no reading", _codes(Code.PAYLOAD_EMPTY), _no_reading),
    Kind("unknown vital", _codes(Code.VITAL_UNKNOWN), _unknown_vital),
    Kind("unknown unit", _codes(Code.UNIT_UNKNOWN), _unknown_unit),
    Kind("unit of something else", _codes(Code.UNIT_NOT_ALLOWED), _wrong_unit),
    Kind("unknown field", _codes(Code.FIELD_UNKNOWN), _unknown_field),
    Kind("repeated key", _codes(Code.PAYLOAD_INVALID), _repeated_key),
    Kind("panel", _codes(Code.PANEL_INVALID), _panel),
    Kind("another schema", _codes(Code.PAYLOAD_INVALID, Code.PAYLOAD_EMPTY), _foreign),
    Kind("long", _codes(Code.PAYLOAD_INVALID), _long, weight=1),
    Kind("unknown stream", _codes(Code.STREAM_UNKNOWN), _good, weight=50, stream=_wrong_stream),
    Kind("wrong topic", _codes(Code.TOPIC_MALFORMED), _good, weight=50, stream=_wrong_topic, told=False),
    Kind("device of nobody", _codes(Code.UNASSIGNED), _good, weight=50, lent=False),
)
"""All of them; the order is part of what a seed means."""
