"""Withdraws consents while parts are away, and gives some of them anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import Connection

from bench.chaos import cast
from bench.chaos.faults import Happened
from bench.chaos.load import Person
from bench.chaos.options import Observed
from bench.chaos.withdrawals import Withdrawal, Withdrawn
from contracts.instants import SECOND
from runtime import clock
from runtime.settings import DatabaseSettings

T = TypeVar("T")
LOOK_SECONDS = 0.05
RETRY_SECONDS = 0.25


class Consenting:
    """What the patients who withdraw do.

    Attributes:
        made: what was withdrawn, in the order in which it was.
    """

    def __init__(
        self,
        everybody: cast.Cast,
        database: DatabaseSettings,
        happened: Sequence[Happened],
        observed: Observed,
    ) -> None:
        """Prepare it.

        Args:
            everybody: enrolled.
            database: as a role that writes consents; past the proxies.
            happened: the faults as they come; added to by whoever does them.
            observed: knows the time of the load, and is told.
        """
        self.made: list[Withdrawn] = []
        self._cast = everybody
        self._database = database
        self._happened = happened
        self._observed = observed

    async def run(self, plan: Sequence[Withdrawal]) -> None:
        """Do all of it, beside the faults."""
        leaving = [person for person in self._cast.people if person.withdraws_from]
        async with asyncio.TaskGroup() as group:
            for one, person in zip(plan, leaving, strict=True):
                group.create_task(self._withdraw(one, person))

    async def _withdraw(self, plan: Withdrawal, person: Person) -> None:
        await self._wait_fault(plan.fault)
        begun = 0.0 if plan.fault else self._observed.elapsed
        await asyncio.sleep(max(0.0, plan.seconds - begun))
        asked, app = clock.now(), person.withdraws_from
        consent = self._cast.consents[person.subject, app].consent
        withdrawn = await self._done(lambda connection: cast.withdraw(connection, consent))
        made = Withdrawn(plan, person.subject, app, consent, asked, withdrawn)
        self.made.append(made)
        self._observed.tell(
            f"{person.subject} withdrew the consent to {app}, recorded {(withdrawn - asked) / SECOND:.2f} s later"
        )
        if plan.again:
            await asyncio.sleep(plan.again)
            made.again = await self._done(lambda connection: cast.consent_again(connection, person.subject, app))
            self._observed.tell(f"{person.subject} gave a new consent to {app}")

    async def _wait_fault(self, number: int) -> None:
        """Wait until a fault is felt, or is known to meet nobody."""
        while number and not any(  # noqa: ASYNC110 - whoever does it notes it
            one.fault.number == number and (one.acted or one.ended) for one in self._happened
        ):
            await asyncio.sleep(LOOK_SECONDS)

    async def _done(self, call: Callable[[Connection[Any]], T]) -> T:
        """Do something in the database, again and again while that is away."""
        while True:
            try:
                return await asyncio.to_thread(self._try, call)
            except psycopg.OperationalError:
                await asyncio.sleep(RETRY_SECONDS)

    def _try(self, call: Callable[[Connection[Any]], T]) -> T:
        with psycopg.connect(self._database.conninfo(), autocommit=True) as connection:
            return call(connection)
