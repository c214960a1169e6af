"""Takes a record of ``agora.vitals.v1`` apart: which readings came together in one message, and whose they are. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import msgspec

from contracts.frames import origins_of
from contracts.observation import Observation, decode_vitals


def messages_by_subject(value: bytes, headers: Sequence[tuple[str, bytes]] | None) -> dict[str, list[list[Observation]]]:
    """Read a vitals record.

    Which messages share a record is chance, and may be another when workers go over them again (ADR 11). So only readings of one
    message may be shown together: then what an app gets, and under which id, is a function of what the device sent.

    Args:
        value: of the record.
        headers: of the record.

    Returns:
        By subject, the readings of each message that has some of it, in the order of the record.

    Raises:
        ValueError: it is no vitals record, or its headers tell of other readings.
    """
    try:
        observations = decode_vitals(value).observations
    except msgspec.DecodeError as error:
        raise ValueError("no vitals record") from error
    origins = origins_of(headers)
    if sum(origin.readings for origin in origins) != len(observations):
        raise ValueError("the origins tell of other observations")
    found: dict[str, list[list[Observation]]] = {}
    left = iter(observations)
    for origin in origins:
        messages: dict[tuple[int, str], list[Observation]] = {}
        for reading in islice(left, origin.readings):
            messages.setdefault((reading.message, reading.subject), []).append(reading)
        for (_, subject), together in messages.items():
            found.setdefault(subject, []).append(together)
    return found
