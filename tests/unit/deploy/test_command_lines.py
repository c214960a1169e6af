"""What short-lived programs of a first start are told on their command lines, which every account of the machine can read."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local import certificates, credentials
from deploy.local.accounts import caller
from deploy.local.credentials import DATABASE_OWNER, KAFKA_BROKER, Credentials
from deploy.local.instance import Instance
from deploy.local.kafka import Kafka
from deploy.local.postgres import Postgres
from deploy.local.profiles import PROFILES
from deploy.local.software import Software

NOTE = """\
#!/bin/sh
cd '{notes}'
printf '%s\\n' "$@" > arguments
env > environment
for argument in "$@"; do
    case "$argument" in
        @*) cp -p "${{argument#@}}" file;;
        --pwfile=*) cp -p "${{argument#--pwfile=}}" file;;
    esac
done
"""


@dataclass
class Notes:
    """What a program was started with.

    Attributes:
        folder: where it noted that.
    """

    folder: Path

    def program(self, path: Path) -> Path:
        path.write_text(NOTE.format(notes=self.folder))
        path.chmod(0o700)
        return path

    def open_to_all(self) -> str:
        """Arguments and environment."""
        return (self.folder / "arguments").read_text() + (self.folder / "environment").read_text()

    @property
    def file(self) -> Path:
        """A copy of the file that the arguments name."""
        return self.folder / "file"


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    (tmp_path / "notes").mkdir()
    return Notes(tmp_path / "notes")


@pytest.fixture
def software(tmp_path: Path, notes: Notes) -> Software:
    """Programs that only note how they were started."""
    programs = tmp_path / "programs"
    programs.mkdir()
    notes.program(programs / "initdb")
    return Software(notes.program(programs / "java"), tmp_path, programs, tmp_path / "mosquitto")


def secrets_of(held: Credentials) -> list[str]:
    return [*held.kafka.values(), *held.database.values(), *held.mqtt.values(), *held.gateway.values()]


def test_formatting_kafkas_storage_tells_its_users_passwords_in_a_file_that_is_its_own_and_gone_afterwards(
    instance: Instance, software: Software, notes: Notes
) -> None:
    held = credentials.load_or_make(instance)
    Kafka(instance, caller(), software).configure(held, certificates.ensure(instance, caller()), PROFILES["demo"])
    assert not [secret for secret in secrets_of(held) if secret in notes.open_to_all()]
    assert all(held.kafka[user] in notes.file.read_text() for user in (KAFKA_BROKER, "operator"))
    assert stat.S_IMODE(notes.file.stat().st_mode) == 0o600
    assert not (instance.config / "kafka" / "format.args").exists()


def test_making_the_databases_files_tells_the_owners_password_in_a_file_that_is_its_own_and_gone_afterwards(
    instance: Instance, software: Software, notes: Notes
) -> None:
    held = credentials.load_or_make(instance)
    Postgres(instance, caller(), software).configure(held, PROFILES["demo"])
    assert not [secret for secret in secrets_of(held) if secret in notes.open_to_all()]
    assert notes.file.read_text() == held.database[DATABASE_OWNER]
    assert stat.S_IMODE(notes.file.stat().st_mode) == 0o600
    assert not (instance.config / "postgres" / "owner.password").exists()


def test_the_servers_themselves_are_told_no_secret(instance: Instance, software: Software) -> None:
    held = credentials.load_or_make(instance)
    for command in (Kafka(instance, caller(), software).command(), Postgres(instance, caller(), software).command()):
        told = " ".join([*command.arguments, *command.environment.values()])
        assert not [secret for secret in secrets_of(held) if secret in told], command.name
