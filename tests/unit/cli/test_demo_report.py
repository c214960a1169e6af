"""What the demo's checks make of too little to go by."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from cli.demo.report import _sharing


def demo(subjects: tuple[str, ...] = (), *, complete: bool = True) -> Any:
    reader = SimpleNamespace(records=1, queries=Counter({200: 1}), subjects=Counter(subjects), is_complete=complete)
    names = SimpleNamespace(subject=lambda name: f"pseudonym of {name}")
    roles = [SimpleNamespace(subject="anna", shares_with=("rhythm",)), SimpleNamespace(subject="ben", shares_with=())]
    return SimpleNamespace(readers={"rhythm": reader}, pseudonyms={"rhythm": names}, cast=SimpleNamespace(roles=roles))


def sees_only_who_consented(demo: Any, strangers: dict[str, int | None]) -> bool:
    return next(check.passed for check in _sharing(demo, strangers) if "sees only" in check.name)


def test_an_app_that_saw_only_who_consented_passes() -> None:
    assert sees_only_who_consented(demo(("pseudonym of anna",)), {"rhythm": 0})


@pytest.mark.parametrize(
    ("seen", "complete", "entries"),
    [
        (("pseudonym of ben",), True, 0),
        ((), True, 1),
        ((), True, None),
        ((), False, 0),
    ],
    ids=["a stranger on the topic", "an entry for a stranger", "no answer for a stranger", "a topic read in part"],
)
def test_whatever_shows_less_fails(seen: tuple[str, ...], complete: bool, entries: int | None) -> None:
    assert not sees_only_who_consented(demo(seen, complete=complete), {"rhythm": entries})
