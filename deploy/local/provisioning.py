"""What the running servers must hold before our processes start: schema and roles, topics, users and rights."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka.admin import AdminClient

from deploy.local import database, kafka, kafka_access, postgres
from deploy.local.credentials import Credentials


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
