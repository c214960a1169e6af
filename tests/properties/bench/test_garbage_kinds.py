"""Every message of garbage is refused by the normaliser, and with a code that fits what is wrong with it."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.garbage.kinds import KINDS, Kind, Moment, message
from bench.garbage.plan import Plan
from contracts.frames import Coordinates, RawMessage
from contracts.instants import to_text
from contracts.registry import DeviceRecord, Loan
from streams.directory import Directory
from streams.memory import Recent, Warnings
from streams.normalise import Result, normalise

NOW = 1_795_341_600_000_000
LENT, NOBODYS = "org/lent", "org/nobodys"
REGISTRY = {
    LENT: DeviceRecord(org="org", device="lent", model="agora-generic", loans=(Loan(start=0, subject="anna"),)),
    NOBODYS: DeviceRecord(org="org", device="nobodys", model="agora-generic"),
}
SOURCE = Coordinates("agora.raw.v1", 0, 5)


def judged(topic: str, payload: bytes) -> Result:
    return normalise([RawMessage(topic, payload, NOW)], SOURCE, Directory(REGISTRY.get), Recent(4), Warnings(), NOW, "1")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_a_message_of_each_kind_is_refused_with_a_code_that_fits(kind: Kind, seed: int) -> None:
    chance = Random(seed)
    topic = f"agora/v1/{LENT if kind.lent else NOBODYS}/up/{kind.stream(chance)}"
    result = judged(topic, kind.make(chance, Moment(to_text(NOW), 1)))
    (kept,) = result.quarantined
    assert kept.code in kind.codes
    assert kept.words
    assert not result.vitals
    assert not result.failures
    assert len(result.down) == kind.told


def test_the_message_they_are_all_made_from_is_accepted() -> None:
    result = judged(f"agora/v1/{LENT}/up/vitals", message(Moment(to_text(NOW), 1)))
    assert not result.quarantined
    assert sum(len(found) for found in result.vitals.values()) == 1


def test_a_seed_gives_the_same_messages_again() -> None:
    first, second, other = (list(Plan(500, seed, lambda: to_text(NOW))) for seed in (7, 7, 8))
    assert first == second
    assert first != other
    assert len({planned.kind.name for planned in first}) > len(KINDS) / 2
