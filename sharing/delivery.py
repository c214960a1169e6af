"""Brings each app what it may see: decides right before sending, and again where the decision grew stale."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from contracts.errors import AgoraError
from contracts.frames import Coordinates
from contracts.instants import SECOND
from contracts.observation import Observation
from contracts.registry import ConsentRecord
from contracts.topics import app_topic
from sharing import cloud_events, events
from sharing.access_log import REFUSED, RELEASED, UNCONFIRMED, Entry
from sharing.fhir.observation import resource
from sharing.known_apps import KnownApps
from sharing.lease import Lease
from sharing.leased_producer import LeasedProducer, PermissionLost, Unconfirmed
from sharing.lendings import Lendings, Loans
from sharing.release import ConsentIndex, Decision, Refusal, decide

RETRY_SECONDS = 0.2


class Stopped(AgoraError):
    """The process is to end; what is not finished stays uncommitted and is done again at the next start."""


class Item(NamedTuple):
    """What one Observation could show, and the vitals record it came in, with its Kafka timestamp in milliseconds."""

    source: Coordinates
    stamp: int
    readings: list[Observation]


class Sent(NamedTuple):
    """Readings that stand in a batch as one record."""

    item: Item
    consent: ConsentRecord
    readings: list[Observation]


@dataclass
class Filled:
    """A batch with what was decided on the way.

    Attributes:
        batch: aiokafka's batch.
        sent: its records, in order.
        refused: withheld because of a withdrawal alone.
        reasons: withheld readings by reason.
        loans: by device, those on which ``sent`` relies.
        next: place of the first item that was not taken in.
        left_at: when it was last permitted to leave, microseconds.
    """

    batch: Any
    sent: list[Sent] = field(default_factory=list)
    refused: list[Sent] = field(default_factory=list)
    reasons: Counter[Refusal] = field(default_factory=Counter)
    loans: dict[str, Loans] = field(default_factory=dict)
    next: int = 0
    left_at: int = 0

    @property
    def until(self) -> float:
        """When the first of its consents ends by itself, microseconds; infinite where none does."""
        return min((sent.consent.ends_at for sent in self.sent if sent.consent.ends_at is not None), default=inf)


@dataclass
class Log:
    """What is to be written into the access log about one app's part of a round.

    Attributes:
        entries: by ``Entry.once``.
        doubts: by consent, record and reading, what left and may stand on the topic, with the instant when it left.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    doubts: dict[tuple[str, Coordinates, bytes], tuple[Sent, Observation, int]] = field(default_factory=dict)

    def release(self, sent: Sent, at: int, offset: int) -> None:
        """Note a record that Kafka confirmed; nobody need doubt what is in it any more."""
        self._entry(RELEASED, "", sent).add(sent.readings, at, offset)
        for reading in sent.readings:
            self.doubts.pop(_identity(sent, reading), None)

    def refuse(self, sent: Sent, at: int) -> None:
        """Note what was withheld because of a withdrawal."""
        self._entry(REFUSED, Refusal.WITHDRAWN.value, sent).add(sent.readings, at)

    def doubt(self, filled: Filled) -> None:
        """Note a batch that left and was not confirmed: it may be decided otherwise before it is sent again."""
        for sent in filled.sent:
            for reading in sent.readings:
                self.doubts[_identity(sent, reading)] = sent, reading, filled.left_at

    def finish(self) -> list[Entry]:
        """Give all entries; what is still in doubt counts as released, since the app may have it."""
        for sent, reading, left_at in self.doubts.values():
            self._entry(RELEASED, UNCONFIRMED, sent).add([reading], left_at)
        return list(self.entries.values())

    def _entry(self, outcome: str, reason: str, sent: Sent) -> Entry:
        entry = Entry(outcome, reason, sent.consent, sent.item.source, sent.item.stamp)
        return self.entries.setdefault(entry.once, entry)


def _identity(sent: Sent, reading: Observation) -> tuple[str, Coordinates, bytes]:
    return sent.consent.consent, sent.item.source, reading.id


class Delivery:
    """Delivers to the apps' topics under the lease."""

    def __init__(
        self,
        lease: Lease,
        consents: ConsentIndex,
        lendings: Lendings,
        apps: KnownApps,
        producer: LeasedProducer,
        renew_lendings: Callable[[], Awaitable[None]],
        clock: Callable[[], int],
        stopping: asyncio.Event,
    ) -> None:
        """Put the parts together.

        Args:
            lease: without it nothing is sent.
            consents: all that are known.
            lendings: of all devices that are known.
            apps: all that are known.
            producer: asks the lease at each attempt.
            renew_lendings: waits until ``lendings`` is as the registry's topic stands now.
            clock: gives the present in microseconds.
            stopping: set when the process is to end.
        """
        self._lease = lease
        self._consents = consents
        self._lendings = lendings
        self._apps = apps
        self._producer = producer
        self._renew_lendings = renew_lendings
        self._clock = clock
        self._stopping = stopping
        self.locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By app: held while something is on its way to the app's topic."""

    async def bring(self, app: str, items: Sequence[Item]) -> list[Entry]:
        """Bring an app what it may see of a round.

        Args:
            app: to whom.
            items: in the order in which they are to be appended.

        Returns:
            What to write into the access log.

        Raises:
            Stopped: the process is to end before all was confirmed.
        """
        log = Log()
        place, renewed = 0, False
        while place < len(items):
            if not await self._lease.held(self._stopping):
                raise Stopped
            refusal = self._apps.refusal(app)
            if refusal is not None:
                count = sum(len(item.readings) for item in items[place:])
                events.READINGS_REFUSED.emit(count, app=app, reason=refusal.value)
                break
            generation = self._generation(app)
            filled = self._fill(app, items, place)
            if filled.reasons[Refusal.NOT_ON_LOAN] and not renewed:
                await self._renew()  # the normaliser may know a loan that is still on its way to here
                renewed = True
                continue
            if filled.sent and not await self._send(app, filled, generation, log):
                continue
            self._count_refused(app, filled, log)
            place = filled.next
        return log.finish()

    async def _renew(self) -> None:
        asked = asyncio.ensure_future(self._renew_lendings())
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({asked, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise Stopped
            await asked
        finally:
            asked.cancel()
            stopped.cancel()

    def _generation(self, app: str) -> tuple[int, int]:
        return self._consents.generation(app), self._apps.generation(app)

    def _fill(self, app: str, items: Sequence[Item], place: int) -> Filled:
        filled = Filled(self._producer.batch())
        pseudonyms = self._apps.pseudonyms(app)
        now = self._clock()
        for number in range(place, len(items)):
            item = items[number]
            theirs, others = self._lendings.sort(item.readings, filled.loans)
            decision = decide(theirs, self._consents.between(item.readings[0].subject, app), now)
            for consent, readings in decision.released:
                event = cloud_events.observation(resource(readings, pseudonyms), consent)
                if filled.batch.append(key=event.key, value=event.value, timestamp=None, headers=event.headers) is None:
                    return filled
                filled.sent.append(Sent(item, consent, readings))
            _add_refused(filled, item, decision)
            if others:
                filled.reasons[Refusal.NOT_ON_LOAN] += len(others)
            filled.next = number + 1
        return filled

    async def _send(self, app: str, filled: Filled, generation: tuple[int, int], log: Log) -> bool:
        until = filled.until  # a consent's end comes without a word of the registry, and a batch may wait for Kafka

        def permitted() -> bool:
            unchanged = self._generation(app) == generation and self._lendings.hold(filled.loans)
            now = self._clock()
            allowed = unchanged and self._lease.fresh() and now < until
            if allowed:
                filled.left_at = now
            return allowed

        async with self.locks[app]:
            try:
                answer = await self._producer.send(app_topic(app).name, filled.batch, permitted)
            except PermissionLost:
                events.BATCH_RECONSIDERED.emit(app=app)
                return False
            except KafkaError as error:
                if isinstance(error, Unconfirmed):
                    log.doubt(filled)
                events.DELIVERY_FAILED.emit(app=app, reason=type(error).__name__)
                if self._stopping.is_set():
                    raise Stopped from error
                await asyncio.sleep(RETRY_SECONDS)
                return False
        _count_released(app, filled, answer, log)
        return True

    def _count_refused(self, app: str, filled: Filled, log: Log) -> None:
        now = self._clock()
        for refused in filled.refused:
            log.refuse(refused, now)
        for reason, count in filled.reasons.items():
            events.READINGS_REFUSED.emit(count, app=app, reason=reason.value)


def _add_refused(filled: Filled, item: Item, decision: Decision) -> None:
    for reading, reason, consent in decision.refused:
        filled.reasons[reason] += 1
        if reason is Refusal.WITHDRAWN:
            filled.refused.append(Sent(item, consent, [reading]))


def _count_released(app: str, filled: Filled, answer: RecordMetadata, log: Log) -> None:
    appended_at = answer.timestamp * 1000
    for place, sent in enumerate(filled.sent):
        log.release(sent, appended_at, answer.offset + place)
    newest = max(reading.received_at for sent in filled.sent for reading in sent.readings)
    events.RELEASE_SECONDS.observe(max(0, appended_at - newest) / SECOND)
    events.READINGS_RELEASED.emit(sum(len(sent.readings) for sent in filled.sent), app=app)
