"""What one transaction writes: Kafka records of the store's four topics, decoded; what cannot be decoded is set aside whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from contracts.alerts import AlertTransition, decode_transition
from contracts.errors import EXPLANATIONS, Code, Stage
from contracts.frames import HEADER_SOURCE, Coordinates, Origin, count_of, header, origins_of
from contracts.instants import hour_of, to_datetime
from contracts.observation import Observation, decode_vitals
from contracts.outcomes import RawOutcome, decode_outcome
from contracts.quarantine import QuarantinedMessage, decode_quarantined
from contracts.topics import ALERTS, LEDGER, QUARANTINE, RAW, VITALS
from runtime.version import VERSION
from storage.keys import Keys
from storage.pieces import KafkaRecord, Source, VitalsRecord, pieces_of, source
from storage.rows import pack_all

TOPICS = (VITALS.name, LEDGER.name, QUARANTINE.name, ALERTS.name)


class SetAside(NamedTuple):
    """What goes to quarantine: the message, and the raw message it came from where the store is the one who refuses."""

    message: QuarantinedMessage
    raw_source: str | None = None


class RefusedVitals(NamedTuple):
    """A vitals record that is set aside whole; the ledger counts its messages as quarantined."""

    source: Source
    hour: int
    messages: int
    readings: int


@dataclass
class Batch:
    """Decoded records.

    Attributes:
        spans: per topic and partition the offset of the first record, and the one after the last.
        observations: of all vitals records, in order.
        vitals: the vitals records, each in as many pieces as it has origins.
        refused_vitals: those that were set aside whole, likewise.
        outcomes: ledger records.
        set_aside: for quarantine, the store's own refusals included.
        refusals: topic and code of each record set aside whole, for telemetry.
        alerts: transitions.
        rows: packed observations, None where one cannot be stored; made by ``fill``.
        unstorable: position of such a one, and why.
    """

    spans: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)
    vitals: list[VitalsRecord] = field(default_factory=list)
    refused_vitals: list[RefusedVitals] = field(default_factory=list)
    outcomes: list[RawOutcome] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    refusals: list[tuple[str, Code]] = field(default_factory=list)
    alerts: list[AlertTransition] = field(default_factory=list)
    rows: list[bytes | None] = field(default_factory=list)
    unstorable: dict[int, Code] = field(default_factory=dict)

    def fill(self, keys: Keys) -> bool:
        """Pack the observations into rows.

        Args:
            keys: what is known by now.

        Returns:
            False when a key is missing. Its observations are marked unstorable; look keys up and fill again, or leave it so.
            What is then marked ``internal`` is no fault of the reading, and must not be set aside.
        """
        self.rows, missing = pack_all(self.observations, keys)
        self.unstorable = {
            position: _reason(self.observations[position], keys) for position, row in enumerate(self.rows) if row is None
        }
        return not missing


def _reason(one: Observation, keys: Keys) -> Code:
    if (one.org, one.device) not in keys.devices:
        return Code.DEVICE_UNKNOWN
    if one.subject not in keys.subjects:
        return Code.UNASSIGNED
    if one.vital not in keys.vitals:
        return Code.VITAL_UNKNOWN
    site = one.org, one.device, one.site
    if keys.sites.key(*site) is not None:
        return Code.PAYLOAD_INVALID  # one of its numbers does not fit
    return keys.sites.refusal(*site) or Code.INTERNAL


def _take_vitals(batch: Batch, record: KafkaRecord) -> None:
    observations, pieces = pieces_of(record, decode_vitals(record.value or b"").observations, len(batch.observations))
    batch.observations += observations
    batch.vitals += pieces


def _take_outcome(batch: Batch, record: KafkaRecord) -> None:
    outcome = decode_outcome(record.value or b"")
    to_datetime(outcome.hour)
    batch.outcomes.append(outcome)


def _take_quarantined(batch: Batch, record: KafkaRecord) -> None:
    message = decode_quarantined(record.value or b"")
    to_datetime(message.received_at)
    to_datetime(message.quarantined_at)
    if not message.source:
        # Refused before it was in any record (the bridge, too large): known by the record that tells of it.
        message = msgspec.structs.replace(message, source=str(Coordinates(record.topic, record.partition, record.offset)))
    batch.set_aside.append(SetAside(message))


def _take_alert(batch: Batch, record: KafkaRecord) -> None:
    transition = decode_transition(record.value or b"")
    UUID(transition.alert)
    for instant in (transition.at, transition.onset, transition.received_at):
        to_datetime(instant)
    batch.alerts.append(transition)


_TAKERS: dict[str, Callable[[Batch, KafkaRecord], None]] = {
    VITALS.name: _take_vitals,
    LEDGER.name: _take_outcome,
    QUARANTINE.name: _take_quarantined,
    ALERTS.name: _take_alert,
}


def decode(records: Iterable[KafkaRecord], now: int) -> Batch:
    """Decode records.

    Args:
        records: of the store's topics, those of a partition in their order.
        now: the present, microseconds.

    Returns:
        A batch in which nothing is lost: what cannot be decoded is set aside whole.
    """
    batch = Batch()
    for record in records:
        place = record.topic, record.partition
        batch.spans[place] = batch.spans.get(place, (record.offset, 0))[0], record.offset + 1
        try:
            _TAKERS[record.topic](batch, record)
        except (msgspec.MsgspecError, ValueError, OverflowError):
            refuse(batch, record, Code.PAYLOAD_UNDECODABLE, now)
    return batch


def refuse(batch: Batch, record: KafkaRecord, code: Code, now: int) -> None:
    """Set a record aside whole.

    Args:
        batch: what it came with.
        record: the record.
        code: why.
        now: the present, microseconds.
    """
    received_at = record.timestamp * 1000
    place = Coordinates(record.topic, record.partition, record.offset)
    batch.refusals.append((record.topic, code))
    origins = _origins(record) if record.topic == VITALS.name else []
    for number, origin in enumerate(origins):
        batch.refused_vitals.append(RefusedVitals(source(origin, record), hour_of(received_at), origin.messages, origin.readings))
        refusal = _refusal(place, -1 - number, "", "", code, record.value or b"", received_at, now, origin.messages)
        batch.set_aside.append(SetAside(refusal, f"{RAW.name}/{origin.partition}/{origin.offset}"))
    if not origins:
        messages = count_of(record.headers) if record.topic == QUARANTINE.name else 0
        refusal = _refusal(place, -1, "", "", code, record.value or b"", received_at, now, messages)
        batch.set_aside.append(SetAside(refusal, _raw_source(record)))


def refuse_reading(record: VitalsRecord, position: int, one: Observation, code: Code, now: int, messages: int) -> SetAside:
    """Make the quarantine row of one observation.

    Args:
        record: the vitals record it stands in.
        position: its place in the batch.
        one: the observation.
        code: why it cannot be stored.
        now: the present, microseconds.
        messages: 1 where it stands for its message in the count of quarantined messages, else 0.

    Returns:
        The row, with the observation as JSON for its payload.
    """
    raw = Coordinates(RAW.name, record.source.raw_partition, record.source.raw_offset)
    shown: dict[str, Any] = msgspec.structs.asdict(one) | {"id": one.id.hex()}
    payload = msgspec.json.encode({"raw": str(raw), "observation": shown})
    place = Coordinates(VITALS.name, record.source.vitals_partition, record.offset)
    refusal = _refusal(place, position - record.base, one.org, one.device, code, payload, one.received_at, now, messages)
    return SetAside(refusal, f"{raw}/{one.message}")


def _refusal(
    place: Coordinates, index: int, org: str, device: str, code: Code, payload: bytes, received_at: int, now: int, messages: int
) -> QuarantinedMessage:
    words = EXPLANATIONS[code][0]
    return QuarantinedMessage(
        source=str(place), index=index, org=org, device=device, stage=Stage.STORE, code=code, words=words, field="", topic="",
        payload=payload, received_at=received_at, quarantined_at=now, software=VERSION, messages=messages,
    )  # fmt: skip


def _origins(record: KafkaRecord) -> list[Origin]:
    try:
        return origins_of(record.headers)
    except ValueError:
        return []


def _raw_source(record: KafkaRecord) -> str | None:
    try:
        text = header(record.headers, HEADER_SOURCE)
        return None if text is None else str(Coordinates.parse(text))
    except ValueError:
        return None
