"""The operator's commands, and the examples with what the commands print, on real servers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import typer
from typer.testing import CliRunner, Result

from cli import sharing_commands
from contracts.errors import AgoraError
from deploy.local.stack import Stack
from sharing.pseudonyms import AppPseudonyms, master_of
from tests.sharing_platform import Platform, database_settings, ensure_running
from tests.sharing_readings import reading

ROOT = Path(__file__).resolve().parents[3]
HEART = "8867-4"


@pytest.fixture
def platform(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    ensure_running(stack, "keeper", "router", "gateway")
    for name, value in stack.settings("operator").items():
        monkeypatch.setenv(name, value)
    with psycopg.connect(database_settings(stack.settings("operator")).conninfo(), autocommit=True) as connection:
        yield Platform(stack, connection)


def agora(*arguments: str) -> Result:
    app = typer.Typer()
    sharing_commands.register(app)
    done = CliRunner().invoke(app, list(arguments))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def shown(output: str, label: str) -> str:
    found = re.search(rf"^{label} +(\S+)$", output, re.MULTILINE)
    assert found is not None, label
    return found[1]


async def test_an_app_is_added_consented_read_by_the_examples_and_revoked(platform: Platform) -> None:
    name, subject = f"rhythm-{platform.mark}", platform.subject("p")
    added = await asyncio.to_thread(agora, "app", "add", platform.org, name, "--display", "Rhythm watch")
    assert added.exit_code == 0
    assert f"kcat -b {platform.operator['AGORA_KAFKA_APPS_BOOTSTRAP']}" in added.stdout
    granted = agora("consent", "grant", "--subject", subject, "--app", name, "--vital", HEART, "--purpose", "a test",
                    "--history-from", "2020-01-01T00:00Z")  # fmt: skip
    consent = granted.stdout.strip().splitlines()[-1]
    await platform.known()
    async with platform.vitals_producer() as producer:
        await platform.publish(producer, [reading(HEART, 61.0, subject=subject)])
    await platform.routed()
    environment = {
        "PATH": os.environ["PATH"],
        "APP_KAFKA": platform.operator["AGORA_KAFKA_APPS_BOOTSTRAP"],
        "APP_GATEWAY": platform.operator["AGORA_GATEWAY_PUBLIC_URL"],
        "APP_CA_FILE": platform.operator["AGORA_CA_FILE"],
        "APP_NAME": name,
        "APP_PASSWORD": shown(added.stdout, "Kafka password"),
        "APP_CLIENT_ID": shown(added.stdout, "client id"),
        "APP_CLIENT_SECRET": shown(added.stdout, "client secret"),
        "PYTHONUNBUFFERED": "1",
    }
    read = await _first_lines("examples/read_topic.py", environment)
    assert "agora.observation.released.v1" in read
    assert '"value": 61' in read
    pasted = added.stdout.partition("# Read the topic")[2].partition("\n")[2].partition("\n# ")[0]
    read_by_kcat = await asyncio.to_thread(_paste, f"{pasted} -e -q")
    assert '"value":61' in read_by_kcat.stdout.replace(": ", ":"), read_by_kcat.stderr
    names = AppPseudonyms(master_of(platform.operator["AGORA_PSEUDONYM_MASTER"]), name)
    query = await asyncio.to_thread(_run, "examples/query_fhir.py", environment)
    assert query.returncode == 0, query.stderr
    assert f"Patient/{names.subject(subject)}: 0 heart rates" in query.stdout

    assert "active" in agora("consent", "list", "--subject", subject, "--app", name).stdout
    agora("consent", "withdraw", consent)
    assert json.loads(agora("consent", "list", "--app", name, "--json").stdout)[0]["revision"] == 2
    assert json.loads(agora("consent", "evidence", consent, "--json").stdout)["holds"] is True
    assert "received 1 reading (Heart rate)" in agora("access", "--subject", subject, "--app", name).stdout
    secret = shown(added.stdout, "client secret")
    rotated = agora("app", "rotate", name)
    assert secret not in rotated.stdout
    agora("app", "revoke", name)
    listed = json.loads(agora("app", "list", "--json").stdout)
    assert next(app for app in listed if app["name"] == name)["revoked_at"] is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("app", "add", "nobody", "an-app"), "no organisation 'nobody'"),
        (("app", "add", "nobody", "An App"), "cannot name an app"),
        (("app", "revoke", "nothing"), "no app 'nothing'"),
        (("app", "rotate", "nothing"), "no active app 'nothing'"),
        (("consent", "withdraw", "nothing"), "UUID"),
        (("consent", "withdraw", "00000000-0000-4000-8000-000000000000"), "no consent"),
        (("consent", "grant", "--subject", "x", "--app", "y", "--vital", "8867-4", "--purpose", "z"), "no active app 'y'"),
        (
            ("consent", "grant", "--subject", "x", "--app", "y", "--vital", "8867-4", "--purpose", "z", "--until", "2026-01-01"),
            "no offset from UTC",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_words(platform: Platform, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(AgoraError, match=words):
        agora(*arguments)


def _run(script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


async def _first_lines(script: str, environment: dict[str, str]) -> str:
    """Run a script that never ends until it has said something whole."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        return (await asyncio.wait_for(process.stdout.readuntil(b"\n}\n"), 30)).decode()
    finally:
        process.kill()
        await process.wait()


def _paste(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=60)
