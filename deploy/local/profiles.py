"""How much of the machine the servers may take."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from deploy.local.problems import Problem


@dataclass(frozen=True)
class Profile:
    """Sizes of the servers.

    Attributes:
        kafka_heap_mib: Kafka's heap.
        kafka_options: further options of its Java.
        kafka_flushes: whether Kafka has on its disk what it confirms. It is one broker here, and no other has a copy
            (docs/adr/0016-one-broker-flushes.md).
        postgres_shared_mib: PostgreSQL's shared buffers.
        postgres_wal_mib: write-ahead log between checkpoints.
        postgres_wal_kept_mib: files of it that are kept to be written again; making new ones takes time.
        postgres_commit_times: whether the database notes when transactions are committed, where `agora bench` reads latency.
        broker_queue_mib: what the MQTT broker may keep for one client that does not take its messages.
        broker_denials_logged: whether each publish that the broker's access list forbids stands in its log. mosquitto tells of
            those only where it writes a line about every packet, most of which a filter takes out again.
    """

    kafka_heap_mib: int
    kafka_options: tuple[str, ...]
    kafka_flushes: bool
    postgres_shared_mib: int
    postgres_wal_mib: int
    postgres_wal_kept_mib: int
    postgres_commit_times: bool
    broker_queue_mib: int
    broker_denials_logged: bool


QUICK_START = ("-XX:TieredStopAtLevel=1",)
"""Java's first compiler alone: at its start Kafka takes 4.7 s of processor time instead of 7.7, and 35 MB less (measured). In the
first minutes under load the second one takes more than it saves: 35 CPU seconds a million messages instead of 20 (measured)."""
DENIALS_LOGGED, FLUSHES = "AGORA_BROKER_DENIALS_LOGGED", "AGORA_KAFKA_FLUSHES"
PROFILES = {
    "demo": Profile(
        kafka_heap_mib=256,
        kafka_options=QUICK_START,
        kafka_flushes=True,
        postgres_shared_mib=128,
        postgres_wal_mib=512,
        postgres_wal_kept_mib=80,
        postgres_commit_times=False,
        broker_queue_mib=160,
        broker_denials_logged=True,
    ),
    "bench": Profile(
        kafka_heap_mib=1024,
        kafka_options=QUICK_START,
        kafka_flushes=False,
        postgres_shared_mib=1024,
        postgres_wal_mib=8192,
        postgres_wal_kept_mib=4096,
        postgres_commit_times=True,
        broker_queue_mib=1024,
        broker_denials_logged=False,
    ),
}


def chosen() -> Profile:
    """Give the profile that ``AGORA_PROFILE`` names, else ``demo``.

    ``AGORA_BROKER_DENIALS_LOGGED`` overrules its broker's log, ``AGORA_KAFKA_FLUSHES`` when its Kafka writes to the disk.

    Raises:
        Problem: there is no such profile, or one of the other variables is neither 0 nor 1.
    """
    name = os.environ.get("AGORA_PROFILE") or "demo"
    if name not in PROFILES:
        raise Problem(f"there is no profile {name!r}", f"AGORA_PROFILE takes {' or '.join(PROFILES)}.")
    profile = PROFILES[name]
    return replace(
        profile,
        broker_denials_logged=_said(DENIALS_LOGGED, profile.broker_denials_logged),
        kafka_flushes=_said(FLUSHES, profile.kafka_flushes),
    )


def _said(variable: str, otherwise: bool) -> bool:
    said = os.environ.get(variable) or None
    if said not in (None, "0", "1"):
        raise Problem(f"{variable} is {said!r}", f"{variable} takes 0 or 1.")
    return otherwise if said is None else said == "1"
