"""The writer: one transaction per batch holds readings, ledger, quarantine, alerts and the positions up to which they go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

import stamina
from psycopg import AsyncConnection

from contracts.errors import AgoraError, Code
from runtime.settings import DatabaseSettings
from storage import batch as batches
from storage import events, ledger_rows, tables, tally
from storage.batch import Batch
from storage.database import Refused, Undone, connect, session, translated
from storage.holders import end_holders
from storage.keys import Keys
from storage.observations import Observations
from storage.pieces import KafkaRecord, Source, VitalsRecord
from storage.settings import StoreSettings
from storage.tables import Held, Place

REGISTRY_POLL_SECONDS = 0.2
RETRIES = 20
LATENCY_SAMPLES = 20
"""At most so many a transaction: a sample of each record would cost more than the record."""


class Fenced(AgoraError):
    """Another writer has moved the positions: nothing was written, they must be loaded anew."""


class Unkeyed(AgoraError):
    """The database gives no key where it must. Nothing is wrong with the readings: they must wait, and somebody must look."""


class Writer:
    """Writes records of the store's topics into the database, each exactly once.

    Attributes:
        positions: by topic and partition, the offset up to which the database holds everything.
    """

    def __init__(self, database: DatabaseSettings, settings: StoreSettings, now: Callable[[], int]) -> None:
        """Prepare the writer.

        Args:
            database: where to write, as ``agora_store``.
            settings: waits.
            now: the wall clock, in microseconds.
        """
        self.positions: dict[Place, int] = {}
        self._database = database
        self._settings = settings
        self._now = now
        self._keys = Keys(settings.sites_per_device)
        self._observations = Observations()
        self._connection: AsyncConnection | None = None

    async def load(self, places: Iterable[Place]) -> dict[Place, int]:
        """Connect where needed, and read up to where the database holds everything.

        Args:
            places: topics and partitions that are read from now on.

        Returns:
            The next offset of each.

        Raises:
            Unavailable: the database does not answer.
        """
        connection = await self._connected()
        with translated():
            self.positions = await tables.load_positions(connection, places)
        return self.positions

    async def close(self) -> None:
        """Give the connection back; what was not committed is undone."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def write(self, records: Sequence[KafkaRecord]) -> None:
        """Write records, in order; returns when they are committed.

        What the database refuses is found by halving, and set aside in quarantine.

        Args:
            records: those of a partition in their order, none left out. What was written already is passed over.

        Raises:
            Fenced: another writer was here; load and read again.
            Unavailable: the database went away; load and read again, since the commit may have happened.
            Undone: others held rows all the time; load and read again.
            Unkeyed: the database refuses to look up or make keys; nothing is written.
            psycopg.Error: a broken invariant.
        """
        fresh = [one for one in records if one.offset >= self.positions[one.topic, one.partition]]
        if not fresh:
            return
        try:
            await self._write_retrying(fresh)
        except Refused:
            if len(fresh) == 1:
                await self._write_retrying(fresh, alone=True)
                return
            middle = len(fresh) // 2
            await self.write(fresh[:middle])
            await self.write(fresh[middle:])

    async def _write_retrying(self, records: Sequence[KafkaRecord], alone: bool = False) -> None:
        # Not stamina's decorator: it logs the arguments of the call, which are patients' values.
        async for attempt in stamina.retry_context(on=Undone, attempts=RETRIES, timeout=None, wait_initial=0.01, wait_max=1.0):
            with attempt:
                await self._write(records, alone)

    async def _write(self, records: Sequence[KafkaRecord], alone: bool) -> None:
        began = time.perf_counter()
        batch = batches.decode(records, self._now())
        connection = await self._connected()
        await self._find_keys(connection, batch)
        if alone:
            with translated():
                batch = await self._judge_alone(connection, batch, records[0])
        steps = {place: (self.positions[place], end) for place, (_, end) in batch.spans.items()}
        try:
            with translated():
                async with connection.transaction():
                    if not await tables.move_positions(connection, steps):
                        raise Fenced("positions were moved by another writer")
                    outcomes = await self._write_rows(connection, batch)
        except Undone as error:
            events.TRANSACTION_RETRIED.emit()
            if isinstance(error, Held):
                await self._end_holders(connection, steps)
            raise
        self.positions |= {place: end for place, (_, end) in batch.spans.items()}
        self._tell(batch, outcomes, began)

    async def _end_holders(self, connection: AsyncConnection, places: Iterable[Place]) -> None:
        """End who holds our positions and stands still: Kafka gave them to us, so its commit would only make us read anew."""
        with translated():
            ended = await end_holders(connection, places, self._settings.lock_seconds)
        if ended:
            events.HOLDER_ENDED.emit(ended)

    async def _write_rows(self, connection: AsyncConnection, batch: Batch) -> bytearray | None:
        """Write all tables; in every writer in this order, since locks are taken in it."""
        outcomes = await self._observations.write(connection, batch.rows)
        new_outcomes, repeats = await ledger_rows.enter_outcomes(connection, batch.outcomes)
        accounted = await ledger_rows.accounted_for(connection, tally.perhaps_repeated(batch.vitals, outcomes))
        vitals = tally.without_repeated(batch.vitals, accounted) if accounted else batch.vitals
        firsts: dict[Source, VitalsRecord] = {}
        for record in vitals:
            firsts.setdefault(record.source, record)
        counts = {source: tally.count(record, outcomes) for source, record in firsts.items()}
        messages = {source: tally.owned(record) for source, record in firsts.items()}
        for refused in batch.refused_vitals:
            counts.setdefault(refused.source, tally.Counts(0, 0, refused.messages, 0, 0, refused.readings))
        new = await ledger_rows.enter_stored(connection, counts, messages)
        again = [record for record in vitals if record.source not in new or record is not firsts[record.source]]
        counted = [record for source, record in firsts.items() if source in new]
        counted += await self._extend(connection, again, outcomes)
        deltas: tally.Deltas = {}
        tally.add_outcomes(deltas, new_outcomes)
        tally.add_reclassified(deltas, await ledger_rows.revise(connection, repeats), batch, outcomes)
        touched = new | {record.source for record in counted}
        changed = await ledger_rows.reclassify(connection, tally.to_reclassify(new_outcomes, touched))
        tally.add_reclassified(deltas, changed, batch, outcomes)
        late = again + [record for record in vitals if (more := changed.get(record.source[:2])) and sum(more[1:]) > 0]
        set_aside = list(batch.set_aside)
        for record in counted:
            new.discard(record.source)
            tally.add_record(deltas, record, outcomes)
            if outcomes is not None:
                set_aside += _refused_readings(batch, record, outcomes, self._now())
        for refused in batch.refused_vitals:
            if refused.source in new:
                new.discard(refused.source)
                tally.add_refused(deltas, refused)
        await tables.enter_quarantine(connection, set_aside)
        await tables.enter_alerts(connection, batch.alerts)
        await ledger_rows.add_to_devices(connection, deltas)
        await tables.ask_to_settle(connection, tally.stored_again(batch.observations, late, outcomes))
        return outcomes

    async def _extend(
        self, connection: AsyncConnection, repeats: Sequence[VitalsRecord], outcomes: bytearray | None
    ) -> list[VitalsRecord]:
        """Count messages that only the second pass gave to a partition to which the first had given others of the raw record."""
        if not repeats:
            return []
        accounted = await ledger_rows.accounted_for(connection, {record.source[:2] for record in repeats})
        more: list[VitalsRecord] = []
        counts: dict[Source, tally.Counts] = {}
        for record in repeats:
            if (rest := tally.not_accounted(record, accounted)) is not None:
                accounted[record.source[:2]][record.source.vitals_partition] |= tally.owned(rest)  # the next may repeat it
                counts[record.source] = tally.count(rest, outcomes).plus(counts.get(record.source))
                more.append(rest)
        if more:
            messages = {source: accounted[source[:2]][source.vitals_partition] for source in counts}
            await ledger_rows.extend_stored(connection, counts, messages)
        return more

    async def _find_keys(self, connection: AsyncConnection, batch: Batch) -> None:
        """Fill the batch's rows. Readings are not set aside for a key that the database refuses to give."""
        try:
            with translated():
                await self._await_keys(connection, batch)
        except Refused as error:
            raise Unkeyed(str(error)) from error
        if Code.INTERNAL in batch.unstorable.values():
            raise Unkeyed("a site has neither a key nor a reason to have none")

    async def _await_keys(self, connection: AsyncConnection, batch: Batch) -> None:
        """Look up what a batch needs; who is not in the registry yet is waited for a little."""
        deadline = time.monotonic() + self._settings.registry_wait_seconds
        while not batch.fill(self._keys):
            missing = self._keys.missing(batch.observations)
            found = await self._keys.resolve(connection, missing)
            if found or time.monotonic() >= deadline:
                self._keys.give_up(missing)
                batch.fill(self._keys)
                return
            await asyncio.sleep(REGISTRY_POLL_SECONDS)

    async def _judge_alone(self, connection: AsyncConnection, batch: Batch, record: KafkaRecord) -> Batch:
        """Find what is wrong with a record that the database refuses: single readings, else it is set aside whole."""
        refused = await self._observations.find_refused(connection, batch.rows)
        for position in refused:
            batch.rows[position] = None
            batch.unstorable[position] = Code.PAYLOAD_INVALID
        if refused:
            return batch
        whole = Batch(spans=batch.spans)
        batches.refuse(whole, record, Code.PAYLOAD_INVALID, self._now())
        return whole

    async def _connected(self) -> AsyncConnection:
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = await connect(
                self._database, session(self._settings.lock_seconds, self._settings.idle_transaction_seconds)
            )
            # A database that was away may come back restored from a backup, and call its devices and subjects otherwise.
            self._keys = Keys(self._settings.sites_per_device)
            with translated():
                await self._keys.enter_catalogue(self._connection)
        return self._connection

    def _tell(self, batch: Batch, outcomes: bytearray | None, began: float) -> None:
        events.COMMIT_SECONDS.observe(time.perf_counter() - began)
        events.BATCH_WRITTEN.emit(readings=len(batch.rows), records=sum(end - since for since, end in batch.spans.values()))
        now = self._now()
        for record in batch.vitals[:: len(batch.vitals) // LATENCY_SAMPLES + 1]:
            if record.parts:
                events.LATENCY_SECONDS.observe((now - batch.observations[record.start].received_at) / 1e6)
        for outcome, name in enumerate(("stored", "duplicate", "quarantined")):
            amount = (len(batch.rows) if outcome == 0 else 0) if outcomes is None else outcomes.count(outcome)
            if amount:
                events.READINGS_WRITTEN.emit(amount, outcome=name)
        for topic, code in batch.refusals:
            events.RECORD_REFUSED.emit(topic=topic, code=code)
        if outcomes is not None:
            for code, amount in _refused_codes(batch, outcomes).items():
                events.READING_REFUSED.emit(amount, code=code)


def _refused_readings(batch: Batch, record: VitalsRecord, outcomes: bytearray, now: int) -> list[batches.SetAside]:
    made = []
    for part in record.parts:
        stands_for_message = part.owner and tally.message_outcome(outcomes, part) == tally.QUARANTINED
        for position in range(part.first, part.end):
            if outcomes[position] == tally.QUARANTINED:
                code = batch.unstorable.get(position, Code.CONFLICT)
                one = batch.observations[position]
                made.append(batches.refuse_reading(record, position, one, code, now, int(stands_for_message)))
                stands_for_message = False
    return made


def _refused_codes(batch: Batch, outcomes: bytearray) -> dict[Code, int]:
    found: dict[Code, int] = {}
    for position, outcome in enumerate(outcomes):
        if outcome == tally.QUARANTINED:
            code = batch.unstorable.get(position, Code.CONFLICT)
            found[code] = found.get(code, 0) + 1
    return found
