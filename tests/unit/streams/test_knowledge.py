from __future__ import annotations

import asyncio

from streams.knowledge import Knowledge


class View:
    """A view that is fresh or not, counts how often it was asked to look, and can be kept from answering."""

    def __init__(self, fresh: bool = False) -> None:
        self.is_fresh = fresh
        self.looked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    def fresh(self, seconds: float) -> bool:
        return self.is_fresh

    async def confirm(self) -> None:
        self.looked += 1
        await self.answers.wait()


async def test_a_view_with_a_fresh_heartbeat_is_trusted() -> None:
    view = View(fresh=True)
    await Knowledge(view).current()
    assert view.looked == 0


async def test_a_view_that_heard_nothing_is_confirmed_before_the_first_message_and_then_beside_the_work() -> None:
    view = View()
    knowledge = Knowledge(view)
    for _ in range(100):
        await knowledge.current()
    assert 1 <= view.looked <= 2, "nobody waits for the keeper, nor asks for each message"


async def test_without_an_answer_a_message_waits() -> None:
    view = View()
    view.answers.clear()
    waiting = asyncio.create_task(Knowledge(view).current())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    view.answers.set()
    await asyncio.wait_for(waiting, 5)


async def test_what_was_asked_before_a_message_came_says_nothing_about_it() -> None:
    view = View(fresh=True)
    view.answers.clear()
    knowledge = Knowledge(view)
    first = asyncio.create_task(knowledge.renew())
    await asyncio.sleep(0)
    view.is_fresh = False
    waiting = asyncio.create_task(knowledge.current())
    await asyncio.sleep(0)
    view.answers.set()
    await asyncio.wait_for(asyncio.gather(first, waiting), 5)
    assert view.looked == 2


async def test_for_a_stranger_it_looks_once_more_and_for_a_crowd_of_them_no_oftener() -> None:
    view = View(fresh=True)
    knowledge = Knowledge(view)
    assert [await knowledge.renew() for _ in range(100)] == [True] + [False] * 99
    assert view.looked == 1
