"""Rows that are stored before anything is measured, as after weeks of work: those of the day lie where the run will write."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from threading import Lock

from bench.chain.platform import Platform
from bench.chain.runs import Tell
from bench.chain.workload import ORG
from deploy.local import postgres
from deploy.local.environment import OWNER

PIECE = 500_000
SESSIONS = 2
"""That fill side by side, each other days: a session is bound by one core."""
PER_DAY = 10_000_000
"""Rows of a day, which is a chunk of the hypertable: of 1,000 devices one each 8.6 seconds."""
_FILL = """
INSERT INTO observations (device_time, effective_at, received_at, sequence, value, device_key, subject_key, quality, vital_key,
    site_key, profile)
SELECT at, at, at, n, 60 + n %% 40, d.device_key, l.subject_key, 32, v.vital_key, s.site_key, 1
FROM (SELECT n, CASE
        WHEN n >= %(earlier)s
        THEN %(now)s::timestamptz
            - (%(now)s::timestamptz - %(midnight)s::timestamptz) * ((%(rows)s - 1 - n) / %(today)s::double precision)
        ELSE %(midnight)s::timestamptz - make_interval(secs => (%(earlier)s - n) * 86400.0 / %(per_day)s) END AS at
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS g(n)) AS rows
JOIN (SELECT device_key, row_number() OVER (ORDER BY device_key) - 1 AS number FROM devices WHERE org = %(org)s) AS d
    ON d.number = n %% %(devices)s
JOIN loans l USING (device_key)
CROSS JOIN (SELECT vital_key FROM vitals WHERE code = '8867-4') AS v
CROSS JOIN (SELECT site_key FROM sites WHERE name = '') AS s"""
"""Oldest first, so that the unique index, which the time leads, grows at its end, as it does when devices send."""


@dataclass(frozen=True)
class Stored:
    """What was stored.

    Attributes:
        rows: in all.
        today: of these, rows of ``day``: in one chunk.
        day: the last day of them, in UTC as the chunks are.
    """

    rows: int
    today: int
    day: date

    def in_chunk(self, now: datetime) -> int:
        """Give how many of them lie in the chunk that is written into now; none once midnight has passed."""
        return self.today if now.astimezone(UTC).date() == self.day else 0


def fill(platform: Platform, rows: int, per_day: int, devices: int, tell: Tell) -> Stored:
    """Store rows up to now, one vital of every device in turn: a whole day's since midnight (UTC), the others on the days before.

    A whole day's, however early it is: how large the chunk is that a run writes into must not depend on the hour.

    Args:
        platform: with its devices enrolled.
        rows: how many; their sequences are below those of a run.
        per_day: of each day.
        devices: how many have them.
        tell: told how far it is.

    Returns:
        What was stored.
    """
    platform.start("store")  # it enters the vitals
    settings = platform.stack.settings(OWNER)
    with postgres.connect(settings) as connection:
        now = datetime.now(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        today = min(rows, per_day)
        values = {"now": now, "midnight": midnight, "rows": rows, "today": today, "earlier": rows - today} | {
            "per_day": per_day,
            "devices": devices,
            "org": ORG,
        }
        _fill_side_by_side(settings, rows, values, tell)
        tell("storing earlier rows: statistics")
        # Vacuumed, too: else the database would do that in the middle of what is measured.
        connection.execute("VACUUM (ANALYZE) observations")
    return Stored(rows, today, now.date())


def shares(rows: int, piece: int = PIECE, sessions: int = SESSIONS) -> list[list[tuple[int, int]]]:
    """Share rows out: each session gets a span of its own, in pieces; first and last number of each."""
    bounds = [rows * number // sessions for number in range(sessions + 1)]
    return [[(first, min(first + piece, end) - 1) for first in range(begin, end, piece)] for begin, end in pairwise(bounds)]


def _fill_side_by_side(settings: Mapping[str, str], rows: int, values: Mapping[str, object], tell: Tell) -> None:
    done, lock = 0, Lock()

    def fill_share(pieces: list[tuple[int, int]]) -> None:
        nonlocal done
        with postgres.connect(settings) as connection:
            connection.execute("SET synchronous_commit = off")
            for first, last in pieces:
                # Planned anew each time: a plan for any number of rows might not keep their order.
                connection.execute(_FILL, {**values, "first": first, "last": last}, prepare=False)
                with lock:
                    done += last - first + 1
                    tell(f"storing earlier rows: {done:,} of {rows:,}")

    with ThreadPoolExecutor(SESSIONS) as pool:
        list(pool.map(fill_share, shares(rows)))
