"""What the running servers must hold before our processes start: schema and roles, topics, users and rights."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from confluent_kafka.admin import AdminClient

from contracts.topics import VITALS, Principal
from deploy.local import database, kafka, kafka_access, postgres
from deploy.local.credentials import Credentials
from runtime import kafka as clients
from runtime.settings import KafkaSettings

WAKE_SECONDS = 30.0


def provision_database(owner: Mapping[str, str], secrets: Credentials) -> dict[str, str]:
    """Make the database, bring its schema up to date and let the services' roles log in.

    Args:
        owner: the settings of the schema's owner.
        secrets: the roles' passwords.

    Returns:
        Versions of PostgreSQL, TimescaleDB (with its edition) and the schema.
    """
    with postgres.connect(owner, "postgres") as connection:
        database.make_database(connection, owner["AGORA_DATABASE_NAME"])
    schema = database.migrate(owner)
    with postgres.connect(owner) as connection:
        database.set_passwords(connection, secrets.database)
        return database.versions(connection) | {"schema": schema}


def provision_kafka(operator: Mapping[str, str], secrets: Credentials) -> None:
    """Make topics, users and rights.

    Args:
        operator: the settings of a user that may administrate.
        secrets: the users' passwords.
    """
    kafka_access.provision(AdminClient(kafka.client(operator)), secrets.kafka)
    with ThreadPoolExecutor(max_workers=1) as aside:  # whoever calls may have an event loop of its own
        aside.submit(asyncio.run, _wake_coordinator(operator)).result()


async def _wake_coordinator(operator: Mapping[str, str]) -> None:
    """Have the broker make its topic of consumer offsets now, rather than when the first consumers wait for it.

    Not by the administrator's client: its first question, when it comes before that topic is there, is never answered, and a
    client with an unanswered question never ends. Where the garbage collector meets it, the whole process stands still.
    """
    settings = KafkaSettings.model_validate(
        {name: operator[f"AGORA_KAFKA_{name.upper()}"] for name in ("bootstrap", "username", "password", "security", "ca_file")}
    )
    asker = clients.consumer(settings, f"{kafka_access.GROUP_PREFIX}{Principal.STORE.value}")
    try:
        async with asyncio.timeout(WAKE_SECONDS):
            await asker.start()
            await asker.committed(TopicPartition(VITALS.name, 0))
    except (TimeoutError, KafkaError):
        pass  # the consumers themselves will wait, then
    finally:
        await asker.stop()
