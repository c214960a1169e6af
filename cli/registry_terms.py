"""What the registry's commands share: times and spans as people write them, tables, JSON, the line that publishes a reading."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
from rich.console import Console
from rich.table import Table

from catalogue.device import MODEL_BY_NAME
from catalogue.registry import BY_CODE
from contracts.errors import Unavailable
from contracts.instants import DAY, HOUR, MINUTE, SECOND, from_datetime, to_datetime
from contracts.mqtt import up_topic
from registry import devices
from registry.devices import Enrolled
from registry.outbox import Database
from registry.refusal import Refused
from runtime.settings import DatabaseSettings, load

out = Console(highlight=False, soft_wrap=True, markup=False)
notes = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
UNITS = {"d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND}
HEART_RATE = "8867-4"


@contextmanager
def database() -> Iterator[Database]:
    """Open a connection of the operator's role.

    Raises:
        Unavailable: the database does not answer.
    """
    settings = load(DatabaseSettings)
    try:
        with psycopg.connect(settings.conninfo(), autocommit=True) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise Unavailable(f"the database at {settings.host}:{settings.port} does not answer: ./agora status") from error


def instant(text: str | None, option: str) -> int | None:
    """Read a moment.

    Args:
        text: ISO 8601 with an offset from UTC, ``now``, or None.
        option: its name, for the message.

    Returns:
        Microseconds, or None for None.

    Raises:
        Refused: it is no such moment.
    """
    if text is None:
        return None
    try:
        moment = datetime.now(UTC) if text == "now" else datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"{option} '{text[:40]}' is no time.", "Write 2026-11-22T10:00Z.") from None
    if moment.tzinfo is None:
        raise Refused(f"{option} '{text[:40]}' has no offset from UTC.", f"Write {text[:40]}Z if it is UTC.")
    return from_datetime(moment)


def now() -> int:
    """Give the present in microseconds."""
    return from_datetime(datetime.now(UTC))


def offset(text: str) -> int:
    """Read a clock offset.

    Args:
        text: as in ``+1h30m``, ``-90s``, ``+20461d``.

    Returns:
        Microseconds.

    Raises:
        Refused: it is no such offset.
    """
    parts = re.findall(r"(\d+)([dhms])", text[1:])
    if text[:1] not in ("+", "-") or not parts or "".join(number + unit for number, unit in parts) != text[1:]:
        raise Refused(f"'{text[:40]}' is no offset.", "Write +1h30m when the device's clock was slow, -90s when it was fast.")
    total = sum(int(number) * UNITS[unit] for number, unit in parts)
    return -total if text[0] == "-" else total


def offset_words(microseconds: int) -> str:
    """Write a clock offset as ``offset`` reads it."""
    left, words = abs(microseconds), ""
    for unit, size in UNITS.items():
        number, left = divmod(left, size)
        words += f"{number}{unit}" if number else ""
    return ("-" if microseconds < 0 else "+") + (words or "0s")


def shown(moment: datetime | int | None, none: str = "") -> str:
    """Write a moment for a table."""
    if moment is None:
        return none
    return (to_datetime(moment) if isinstance(moment, int) else moment).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def print_json(value: Any) -> None:
    """Write JSON on standard output."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """Write a table, or what to do where there is nothing."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    if table.row_count:
        out.print(table)
    else:
        notes.print(empty)


def wait_settled(connection: Database, names: Sequence[str], what: str, seconds: float) -> None:
    """Wait until the keeper has seen to it that the broker knows, telling the progress.

    Args:
        connection: operator's.
        names: ``<org>/<device>`` each.
        what: what is awaited, in words.
        seconds: how long at most.

    Raises:
        Unavailable: it did not happen in time; it will, as soon as the keeper runs.
    """
    left = len(names)
    with notes.status(f"{what} …") as status:
        for left in devices.wait_settled(connection, names, seconds):
            status.update(f"{what} … {len(names) - left} of {len(names)}")
    if left:
        raise Unavailable(
            f"the keeper has not confirmed {left} of {len(names)} within {seconds:.0f} s; it will once it runs: "
            "./agora status, ./agora logs keeper"
        )


def publish_line(enrolled: Enrolled, model: str) -> str:
    """Give the line to paste that publishes one reading as the device."""
    measured = [code for code in MODEL_BY_NAME[model].vitals if not BY_CODE[code].panel]
    vital = BY_CODE[measured[0] if measured else HEART_RATE]
    reading = f'"code":"{vital.code}","value":{vital.example},"unit":"{vital.unit}"'
    stream = next(iter(MODEL_BY_NAME[model].streams))
    words = [
        "mosquitto_pub", "-V", "5", "-q", "1",
        "-h", os.environ.get("AGORA_MQTT_HOST", "localhost"), "-p", os.environ.get("AGORA_MQTT_PORT", "8883"),
        "--cafile", os.environ.get("AGORA_MQTT_CA_FILE", "ca.pem"), "-u", enrolled.username, "-P", enrolled.password,
        "-t", up_topic(enrolled.org, enrolled.device, stream),
    ]  # fmt: skip
    return shlex.join(words) + ' -m \'{"time":"\'$(date -u +%FT%TZ)\'",' + reading + "}'"
