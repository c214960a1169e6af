from __future__ import annotations

from streams.knowledge import Knowledge


class View:
    """A view that is fresh or not, and counts how often it was asked to look."""

    def __init__(self, fresh: bool) -> None:
        self.is_fresh = fresh
        self.looked = 0

    def fresh(self, seconds: float) -> bool:
        return self.is_fresh

    async def confirm(self) -> None:
        self.looked += 1


async def test_a_view_with_a_fresh_heartbeat_is_trusted() -> None:
    view = View(fresh=True)
    await Knowledge(view).current()
    assert view.looked == 0


async def test_a_view_that_heard_nothing_of_late_is_confirmed_once_a_second_and_nobody_waits_for_the_keeper() -> None:
    view = View(fresh=False)
    knowledge = Knowledge(view)
    for _ in range(100):
        await knowledge.current()
    assert view.looked == 1


async def test_for_a_stranger_it_looks_once_more_and_for_a_crowd_of_them_no_oftener() -> None:
    view = View(fresh=True)
    knowledge = Knowledge(view)
    assert [await knowledge.renew() for _ in range(100)] == [True] + [False] * 99
    assert view.looked == 1
