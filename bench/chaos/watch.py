"""How soon everything goes on after a fault: seen at the far ends, in the table, on the apps' topics and at the gateway."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from psycopg import AsyncConnection

from bench.chaos.faults import Happened
from contracts.frames import header
from contracts.instants import SECOND, from_datetime, to_datetime
from contracts.topics import app_topic
from runtime import kafka
from runtime.settings import DatabaseSettings, KafkaSettings
from sharing.apps import Access

LOOK_SECONDS = 0.25
RETRY_SECONDS = 0.5
ASK_SECONDS = 0.7
TOKEN_SECONDS = 60.0
_NEWEST = "SELECT device_key, max(device_time) FROM observations WHERE device_time >= %s GROUP BY 1"


@dataclass(frozen=True)
class Question:
    """A query that the gateway must be able to answer.

    Attributes:
        access: who asks.
        patient: about whom, as that app knows the patient.
        gateway: base URL.
        tls: trusts the gateway.
    """

    access: Access
    patient: str
    gateway: str
    tls: ssl.SSLContext


class Watch:
    """Notes on each fault when every device's readings came through again.

    Attributes:
        happened: the faults to watch for; added to by whoever does them.
        rows: readings stored, as last looked at.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        database: DatabaseSettings,
        apps_kafka: Mapping[str, KafkaSettings],
        devices: int,
        expected: set[tuple[str, str]],
    ) -> None:
        """Prepare it.

        Args:
            clock: gives the present in microseconds.
            database: as a role that reads readings; past the proxies.
            apps_kafka: by app, its own way into Kafka.
            devices: how many publish.
            expected: app and patient, as the app knows them, whose readings must come.
        """
        self.happened: list[Happened] = []
        self._clock = clock
        self._database = database
        self._apps_kafka = apps_kafka
        self._devices = devices
        self._released: dict[tuple[str, str], int] = {}
        self._expected = expected

    async def run(self, question: Question) -> None:
        """Watch until cancelled.

        Args:
            question: what to ask the gateway again and again.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_table())
            for app, settings in self._apps_kafka.items():
                group.create_task(self._follow_app(app, settings))
            group.create_task(self._ask(question))

    def _pending(self, name: str) -> list[Happened]:
        return [one for one in self.happened if one.ended and getattr(one, name) is None]

    def _reached(self, name: str, instant: int) -> None:
        """Note that everything measured before an instant came through."""
        for one in self._pending(name):
            if instant > one.ended:
                setattr(one, name, round((self._clock() - one.ended) / SECOND, 2))

    async def _follow_table(self) -> None:
        while True:
            try:
                async with await AsyncConnection.connect(self._database.conninfo(), autocommit=True) as connection:
                    while True:
                        await self._look(connection)
                        await asyncio.sleep(LOOK_SECONDS)
            except (psycopg.Error, OSError):
                await asyncio.sleep(RETRY_SECONDS)

    async def _look(self, connection: AsyncConnection[Any]) -> None:
        pending = self._pending("stored")
        if not pending:
            return
        since = to_datetime(min(one.ended for one in pending))
        async with asyncio.timeout(10):
            found: list[tuple[int, datetime]] = await (await connection.execute(_NEWEST, [since])).fetchall()
        if len(found) == self._devices:
            self._reached("stored", min(from_datetime(newest) for _, newest in found))

    async def _follow_app(self, app: str, settings: KafkaSettings) -> None:
        while True:
            reader = kafka.consumer(settings, None)
            try:
                await reader.start()
                await self._read(app, reader, TopicPartition(app_topic(app).name, 0))
            except (KafkaError, OSError):
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                await reader.stop()

    async def _read(self, app: str, reader: AIOKafkaConsumer, place: TopicPartition) -> None:
        reader.assign([place])
        await reader.seek_to_end(place)
        while True:
            for batch in (await reader.getmany(timeout_ms=200)).values():
                for record in batch:
                    self._note(app, record)
            instants = [self._released.get(key, 0) for key in self._expected]
            if instants:
                self._reached("released", min(instants))

    def _note(self, app: str, record: Any) -> None:
        body = record.value
        start = body.find(b'"Patient/')
        patient = body[start + 9 : body.find(b'"', start + 9)].decode()
        time = header(record.headers, "ce_time")
        if start >= 0 and time:
            key = (app, patient)
            self._released[key] = max(self._released.get(key, 0), from_datetime(datetime.fromisoformat(time)))

    async def _ask(self, question: Question) -> None:
        token, until = "", 0.0
        async with httpx.AsyncClient(verify=question.tls, timeout=5.0, base_url=question.gateway, trust_env=False) as client:
            while True:
                asked = self._clock()
                try:
                    if time.monotonic() > until:
                        token, until = await _token(client, question.access), time.monotonic() + TOKEN_SECONDS
                    if await _answers(client, token, question.patient):
                        self._reached("answered", asked)
                    else:
                        until = 0.0
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(ASK_SECONDS)


async def _token(client: httpx.AsyncClient, access: Access) -> str:
    login = (access.client_id, access.client_secret)
    answer = await client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=login)
    return str(answer.raise_for_status().json()["access_token"])


async def _answers(client: httpx.AsyncClient, token: str, patient: str) -> bool:
    parameters = {"patient": patient, "_count": "1", "_sort": "-date"}
    found = await client.get("/fhir/Observation", params=parameters, headers={"Authorization": f"Bearer {token}"})
    return found.status_code == 200
