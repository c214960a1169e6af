"""The two apps of the demo: each reads its topic and asks the gateway, with its own credentials only."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from typing import Any

import httpx
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr

from contracts.frames import header
from runtime import kafka
from runtime.settings import KafkaSettings
from sharing.apps import Access
from sharing.cloud_events import WITHDRAWN_TYPE

CE_TYPE = "ce_type"
ASK_EVERY_SECONDS = 5.0


class AppReader:
    """One app.

    Attributes:
        records: records received on the topic in this run.
        repeats: of these, those whose id had come before.
        subjects: records by pseudonymous patient.
        withdrawals: events that told the app to erase.
        queries: answers of the gateway by status.
        found: entries in the newest answer of the gateway.
        seconds: durations of the queries.
        is_complete: whether the topic was read to its end.
    """

    def __init__(self, access: Access, bootstrap: str, ca_file: str, gateway: str) -> None:
        """Prepare the app.

        Args:
            access: its credentials.
            bootstrap: Kafka's listener for apps.
            ca_file: authority of both servers' certificates.
            gateway: base URL.
        """
        self.access = access
        self.records = 0
        self.repeats = 0
        self.subjects: Counter[str] = Counter()
        self.withdrawals = 0
        self.queries: Counter[int] = Counter()
        self.found = 0
        self.seconds: list[float] = []
        self.is_complete = False
        self._ids: set[str] = set()
        self._kafka = KafkaSettings(
            bootstrap=bootstrap,
            username=access.kafka_user,
            password=SecretStr(access.kafka_password),
            security="SASL_SSL",
            ca_file=ca_file,
        )
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._gateway = gateway
        self._token = ""
        self._token_until = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._reader: AIOKafkaConsumer | None = None
        self._partition = TopicPartition(access.topic, 0)

    async def start(self) -> None:
        """Begin to read, from this moment on, and to ask now and then."""
        self._reader = kafka.consumer(self._kafka, None)
        await self._reader.start()
        self._reader.assign([self._partition])
        await self._reader.seek_to_end(self._partition)
        await self._reader.position(self._partition)
        self._tasks = [asyncio.create_task(self._read(self._reader)), asyncio.create_task(self._ask_now_and_then())]

    async def caught_up(self, seconds: float) -> bool:
        """Wait until everything in the topic was read.

        Args:
            seconds: at most.

        Returns:
            Whether it was; False also where it stopped reading.
        """
        assert self._reader is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not any(task.done() for task in self._tasks):
            end = (await self._reader.end_offsets([self._partition]))[self._partition]
            if await self._reader.position(self._partition) >= end:
                self.is_complete = True
                return True
            await asyncio.sleep(0.1)
        return False

    async def stop(self) -> None:
        """Stop reading and asking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._reader is not None:
            await self._reader.stop()

    async def _read(self, reader: AIOKafkaConsumer) -> None:
        while True:
            for batch in (await reader.getmany(timeout_ms=200)).values():
                for record in batch:
                    self.take(record)

    def take(self, record: Any) -> None:
        """Take a record of the topic in."""
        if header(record.headers, CE_TYPE) == WITHDRAWN_TYPE:
            self.withdrawals += 1
            return
        observation = orjson.loads(record.value)
        self.records += 1
        self.repeats += observation["id"] in self._ids
        self._ids.add(observation["id"])
        self.subjects[observation["subject"]["reference"].removeprefix("Patient/")] += 1

    async def _ask_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(ASK_EVERY_SECONDS)
            newest = next(reversed(self.subjects), None)
            if newest is not None:
                await self.ask(newest)

    async def ask(self, patient: str) -> list[dict[str, Any]] | None:
        """Ask the gateway for a patient's readings.

        Args:
            patient: as this app knows the patient.

        Returns:
            The Observations of the first page; None where the gateway did not answer, or refused.
        """
        begun = time.monotonic()
        try:
            async with httpx.AsyncClient(verify=self._tls, timeout=10) as client:
                await self._authorise(client)
                answer = await client.get(
                    f"{self._gateway}/fhir/Observation",
                    params={"patient": patient, "_count": "50"},
                    headers={"Authorization": f"Bearer {self._token}"},
                )
        except httpx.HTTPError:
            self.queries[0] += 1
            return None
        self.queries[answer.status_code] += 1
        self.seconds.append(time.monotonic() - begun)
        if answer.status_code != 200:
            return None
        entries = [entry["resource"] for entry in answer.json().get("entry", [])]
        self.found = len(entries)
        return entries

    async def _authorise(self, client: httpx.AsyncClient) -> None:
        if time.monotonic() < self._token_until:
            return
        answer = await client.post(
            f"{self._gateway}/oauth/token",
            data={"grant_type": "client_credentials", "scope": "system/Observation.rs system/Patient.rs"},
            auth=(self.access.client_id, self.access.client_secret),
        )
        answer.raise_for_status()
        granted = answer.json()
        self._token = granted["access_token"]
        self._token_until = time.monotonic() + granted["expires_in"] / 2
