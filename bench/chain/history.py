"""Rows that are stored before anything is measured, as after weeks of work."""

from __future__ import annotations

from bench.chain.platform import Platform
from bench.chain.runs import Tell
from bench.chain.workload import ORG
from deploy.local import postgres
from deploy.local.environment import OWNER

CHUNK = 1_000_000
PER_DAY = 10_000_000
"""Rows of a day, which is a chunk of the hypertable: 116 a second."""
_FILL = """
INSERT INTO observations (device_time, effective_at, received_at, sequence, value, device_key, subject_key, quality, vital_key,
    site_key, profile)
SELECT at, at, at, n, 60 + n %% 40, d.device_key, l.subject_key, 32, v.vital_key, s.site_key, 1
FROM (SELECT n, date_trunc('day', now()) - make_interval(secs => 1 + n * 86400.0 / %(per_day)s) AS at
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS g(n)) AS rows
JOIN (SELECT device_key, row_number() OVER (ORDER BY device_key) - 1 AS number FROM devices WHERE org = %(org)s) AS d
    ON d.number = n %% %(devices)s
JOIN loans l USING (device_key)
CROSS JOIN (SELECT vital_key FROM vitals WHERE code = '8867-4') AS v
CROSS JOIN (SELECT site_key FROM sites WHERE name = '') AS s"""


def fill(platform: Platform, rows: int, devices: int, tell: Tell) -> None:
    """Store rows of the days before today, one vital of every device in turn.

    Args:
        platform: with its devices enrolled.
        rows: how many.
        devices: how many have them.
        tell: told how far it is.
    """
    platform.start("store")  # it enters the vitals
    with postgres.connect(platform.stack.settings(OWNER)) as connection:
        connection.execute("SET synchronous_commit = off")
        for first in range(0, rows, CHUNK):
            tell(f"storing rows of earlier days: {first:,} of {rows:,}")
            values = {"first": first, "last": min(first + CHUNK, rows) - 1, "devices": devices, "org": ORG, "per_day": PER_DAY}
            connection.execute(_FILL, values)
        tell("storing rows of earlier days: statistics")
        connection.execute("ANALYZE observations")
