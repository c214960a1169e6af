"""The app's searches: a process of its own that asks the gateway at a steady rate, with the app's access token.

Its plan and report go as ``companion`` says. A search's time begins when it was due, so that a gateway that falls behind cannot
hide it by being asked less.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import httpx
import orjson

from bench.chain import searches
from bench.chain.searches import KINDS

TIMEOUT_SECONDS = 10.0
"""A search that takes longer has failed."""
CONNECTIONS = 8
MOST_PATIENTS = 1000
REMEMBERED_PAGES = 100


@dataclass(frozen=True)
class Plan:
    """What to ask.

    Attributes:
        gateway: base URL.
        ca_file: PEM of the authority of its certificate.
        client_id: the app's.
        client_secret: its secret.
        shared: LOINC code of the vital that the app may see.
        unshared: LOINC code of one that it may not see.
        rate: searches a second.
        seed: of the choice of patients.
    """

    gateway: str
    ca_file: str
    client_id: str
    client_secret: str
    shared: str
    unshared: str
    rate: float
    seed: int = 1


@dataclass
class Answered:
    """What came of it.

    Attributes:
        seconds: from when each search was due to its answer read, by kind.
        observations: that were answered.
        errors: by what was answered instead.
        faults: answers in which something was wrong, by what it was.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    observations: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)


class Page(NamedTuple):
    """A page that can be asked for, and what was asked on the page before it."""

    address: str
    patient: str
    asked: searches.Asked


class Searcher:
    """One app that asks.

    Args:
        plan: what to ask.
        client: for the gateway.

    Attributes:
        answered: what came of it so far.
    """

    def __init__(self, plan: Plan, client: httpx.AsyncClient) -> None:
        self.answered = Answered()
        self._plan = plan
        self._client = client
        self._token_until = 0.0
        self._renewing = asyncio.Lock()
        self._patients: list[str] = []
        self._random = random.Random(plan.seed)  # noqa: S311 - chooses patients, no secret
        self._pages: deque[Page] = deque(maxlen=REMEMBERED_PAGES)

    async def prepare(self) -> None:
        """Get a token, and learn who shares anything with the app."""
        await self._authorise()
        answer = await self._client.get("/fhir/Patient", params={"_count": str(MOST_PATIENTS)})
        self._patients = [one["id"] for one in searches.found_in(answer.raise_for_status().json())]

    async def ask_until(self, stop: asyncio.Future[str]) -> None:
        """Ask at the plan's rate until told to stop, and wait for the answers that are still to come."""
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            number = 0
            while not stop.done():
                due = begun + number / self._plan.rate
                wait = due - time.perf_counter()
                if wait > 0:
                    await asyncio.wait({stop}, timeout=wait)
                    continue
                group.create_task(self._ask(KINDS[number % len(KINDS)], due))
                number += 1

    async def _ask(self, kind: str, due: float) -> None:
        plan, answered = self._plan, self.answered
        page = self._pages.popleft() if kind == "page" and self._pages else None
        if page is None:
            kind = "day" if kind == "page" else kind
            patient = self._random.choice(self._patients)
            asked = searches.parameters(kind, patient, plan.shared, plan.unshared, time.time_ns() // 1000)
            page = Page(str(httpx.URL(f"{plan.gateway}/fhir/Observation", params=asked)), patient, asked)
        try:
            await self._authorise()
            answer = await self._client.get(page.address)
        except httpx.HTTPError as error:
            _count(answered.errors, type(error).__name__)
            return
        if answer.status_code != httpx.codes.OK:
            _count(answered.errors, searches.complaint(answer.status_code, answer.content))
            return
        answered.seconds[kind].append(round(time.perf_counter() - due, 5))
        self._look(kind, page, answer.content)

    def _look(self, kind: str, page: Page, body: bytes) -> None:
        bundle = orjson.loads(body)
        fault = searches.fault_in(bundle, kind, page.patient, self._plan.shared, page.asked)
        if fault:
            _count(self.answered.faults, fault)
        self.answered.observations += len(searches.found_in(bundle))
        if kind == "day" and (following := searches.next_page(bundle)):
            self._pages.append(Page(following, page.patient, page.asked))

    async def _authorise(self) -> None:
        """Get another token when half the life of the last one is over."""
        async with self._renewing:
            if time.monotonic() < self._token_until:
                return
            login = (self._plan.client_id, self._plan.client_secret)
            answer = await self._client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=login)
            granted = answer.raise_for_status().json()
            self._client.headers["Authorization"] = f"Bearer {granted['access_token']}"
            self._token_until = time.monotonic() + granted["expires_in"] / 2


def _count(counted: dict[str, int], what: str) -> None:
    counted[what] = counted.get(what, 0) + 1


async def _main() -> None:
    plan = Plan(**json.loads(sys.stdin.readline()))
    tls = ssl.create_default_context(cafile=plan.ca_file)
    limits = httpx.Limits(max_connections=CONNECTIONS)
    async with httpx.AsyncClient(
        base_url=plan.gateway, verify=tls, timeout=TIMEOUT_SECONDS, limits=limits, trust_env=False
    ) as client:
        searcher = Searcher(plan, client)
        await searcher.prepare()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        stop = asyncio.ensure_future(asyncio.to_thread(sys.stdin.readline))
        await searcher.ask_until(stop)
    sys.stdout.write(json.dumps(asdict(searcher.answered)) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)  # stays until its processor time was looked at


if __name__ == "__main__":
    asyncio.run(_main())
