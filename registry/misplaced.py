"""Alerts that stand under somebody whose readings they were not, as a corrected loan shows.

The rules judge a reading under the subject it was named after. Where a loan is corrected or reported late, the reading moves and
its alert would stay, open for ever: the device speaks of that subject no more. So after a settlement the open alerts of everybody
who ever had the device are compared with its readings, and those raised by a reading that is now another's, or nobody's, are
ended by a command of the keeper. The rules do not judge the reading again for whose it is: that is told, for a human to see to.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from psycopg import AsyncConnection

from contracts.alerts import AlertCommand, Severity, Transition, encode
from contracts.ids import id_text, observation_id, partition_of
from contracts.instants import from_datetime
from contracts.topics import ALERT_COMMANDS
from registry import events
from runtime import clock, kafka
from runtime.settings import KafkaSettings

Connection = AsyncConnection[tuple[Any, ...]]
LOOK_BACK_SECONDS = 600.0
"""For so long after a settlement alerts are looked for: the workers may judge a reading later than the store stored it."""
AGAIN_SECONDS = 30.0
"""A command is given again after this long, where its alert is still open."""
BY = "keeper"
NOTE = "the reading is not this subject's: the loan of the device was corrected"
# A raised alert's time is its reading's effective time, from which the device time differs by a clock correction at most.
_OPEN = """
SELECT t.alert::text, t.subject, t.reading, d.org, d.name, t.vital, coalesce(n.name, i.name), r.device_time, r.sequence,
    EXISTS (SELECT FROM alert_transitions x WHERE x.alert = t.alert AND x.severity = %(critical)s)
FROM device_borrowers b JOIN devices d USING (device_key) JOIN subjects s USING (subject_key)
JOIN alert_transitions t ON t.subject = s.name AND t.number = 1 JOIN vitals v ON v.code = t.vital
CROSS JOIN LATERAL (
    SELECT coalesce(max(abs(offset_microseconds)), 0) * interval '1 microsecond' AS widest
    FROM clock_corrections c WHERE c.device_key = b.device_key) w
CROSS JOIN LATERAL (
    SELECT o.device_time, o.site_key, o.sequence FROM observations o
    WHERE o.device_key = b.device_key AND o.vital_key = v.vital_key AND o.subject_key <> b.subject_key
        AND o.device_time BETWEEN t.at - w.widest AND t.at + w.widest
    UNION ALL
    SELECT a.device_time, a.site_key, a.sequence FROM observations_set_aside a
    WHERE a.device_key = b.device_key AND a.vital_key = v.vital_key
        AND a.device_time BETWEEN t.at - w.widest AND t.at + w.widest) r
LEFT JOIN sites i ON i.site_key = r.site_key
LEFT JOIN device_sites n ON n.device_key = b.device_key AND n.site_key = r.site_key
WHERE b.device_key IN (SELECT device_key FROM settlements WHERE done_at > now() - make_interval(secs => %(seconds)s))
    AND NOT EXISTS (SELECT FROM alert_transitions x WHERE x.alert = t.alert AND x.transition = %(resolved)s)"""


class Misplaced(NamedTuple):
    """An open alert that was raised by a reading which is now another's, or nobody's.

    Attributes:
        alert: its id.
        subject: under whom it stands.
        critical: whether it was critical at any time.
    """

    alert: str
    subject: str
    critical: bool


async def find(connection: Connection) -> list[Misplaced]:
    """Find the misplaced alerts of devices that were settled lately.

    Raises:
        psycopg.Error: the database did not answer.
    """
    given = {"seconds": LOOK_BACK_SECONDS, "critical": Severity.CRITICAL.value, "resolved": Transition.RESOLVED.value}
    rows = await (await connection.execute(_OPEN, given)).fetchall()
    return [
        Misplaced(alert, subject, critical)
        for alert, subject, reading, org, device, vital, site, at, sequence, critical in rows
        if reading == id_text(observation_id(org, device, vital, site, from_datetime(at), sequence))
    ]


class MisplacedAlerts:
    """Ends them, and tells of each once."""

    def __init__(self, kafka_settings: KafkaSettings) -> None:
        self._kafka = kafka_settings
        self._ended: dict[str, float] = {}

    async def look(self, connection: Connection) -> None:
        """End those that stand now.

        Raises:
            psycopg.Error, KafkaError: a server did not answer.
        """
        found = await find(connection)
        if not found:
            self._ended.clear()
            return
        now = clock.elapsed()
        due = [one for one in found if now - self._ended.get(one.alert, float("-inf")) >= AGAIN_SECONDS]
        if due:
            await self._end(due)
        if new := [one for one in due if one.alert not in self._ended]:
            events.ALERTS_MISPLACED.emit(len(new), alerts=len(new), critical=sum(one.critical for one in new))
        self._ended |= {one.alert: now for one in due}

    async def _end(self, alerts: list[Misplaced]) -> None:
        # Not idempotent: a command obeyed twice is obeyed once.
        producer: AIOKafkaProducer = kafka.producer(self._kafka, enable_idempotence=False)
        try:
            await producer.start()
            for one in alerts:
                command = AlertCommand(one.alert, one.subject, Transition.RESOLVED, BY, clock.now(), NOTE, misplaced=True)
                partition = partition_of(one.subject, ALERT_COMMANDS.partitions)
                await producer.send_and_wait(ALERT_COMMANDS.name, encode(command), key=one.subject.encode(), partition=partition)
        finally:
            await producer.stop()
