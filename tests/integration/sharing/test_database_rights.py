"""What each process's role can read of the database beyond what it needs."""

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from deploy.local.stack import Stack
from runtime.settings import DatabaseSettings
from tests.support.storing import database

SECRETS = {
    "hospital identifiers": "SELECT identifier_value FROM subjects",
    "passwords of devices": "SELECT broker_password_hash FROM devices",
}
APP_SECRETS = {"secrets of apps": "SELECT secret_hash FROM apps", "texts of consents": "SELECT text_shown FROM consent_revisions"}
PATIENT_DATA = {"readings": "SELECT value FROM observations", "quarantined messages": "SELECT payload FROM quarantine"}


def refused(settings: DatabaseSettings, statement: str, role: str = "") -> bool:
    with psycopg.connect(settings.conninfo()) as connection:
        if role:
            connection.execute(f"SET LOCAL ROLE {role}")
        try:
            connection.execute(statement)
        except InsufficientPrivilege:
            return True
    return False


@pytest.mark.parametrize("what", sorted(SECRETS | APP_SECRETS | PATIENT_DATA))
def test_the_role_of_apps_queries_reads_names_and_keys_alone(stack: Stack, what: str) -> None:
    assert refused(database(stack, "gateway"), (SECRETS | APP_SECRETS | PATIENT_DATA)[what], "agora_app_query")


@pytest.mark.parametrize("what", sorted(SECRETS | PATIENT_DATA))
def test_the_gateway_reads_no_identifier_no_device_password_and_no_reading_past_the_policy(stack: Stack, what: str) -> None:
    assert refused(database(stack, "gateway"), (SECRETS | PATIENT_DATA)[what])


@pytest.mark.parametrize("what", sorted(SECRETS | APP_SECRETS | PATIENT_DATA))
def test_the_router_reads_nothing_of_patients_and_no_secret(stack: Stack, what: str) -> None:
    assert refused(database(stack, "router"), (SECRETS | APP_SECRETS | PATIENT_DATA)[what])


@pytest.mark.parametrize("what", sorted(SECRETS | APP_SECRETS))
def test_the_store_reads_no_identifier_and_no_secret(stack: Stack, what: str) -> None:
    assert refused(database(stack, "store"), (SECRETS | APP_SECRETS)[what])
