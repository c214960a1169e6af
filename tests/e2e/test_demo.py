"""The demo as a newcomer runs it, and the lines it prints."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from cli import operator
from cli.demo import hints, people
from cli.demo.run import Demo, Options
from deploy.local import credentials
from deploy.local.instance import PROCESSES
from deploy.local.view import View
from runtime.settings import DatabaseSettings, KafkaSettings
from sharing.kafka_users import KafkaUsers
from tests.e2e.conftest import NAME, PORT_BASE, quiet

ROOT = Path(__file__).parents[2]
WITHIN_SECONDS = 2.0
PATIENTS = 6
TOKEN = re.compile(r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.")


class Run(NamedTuple):
    """A demo that is over."""

    done: subprocess.CompletedProcess[str]
    report: str


@pytest.fixture(scope="module")
def demo(platform: View) -> Demo:
    values = platform.settings("operator")
    users = KafkaUsers(operator.settings(KafkaSettings, values))
    with psycopg.connect(operator.settings(DatabaseSettings, values).conninfo(), autocommit=True) as connection:
        cast = people.enrol(connection, users, people.roles(PATIENTS, seed=7), platform.instance.credentials, quiet)
    return Demo(platform, cast, Options(0.0, 1.0, kills=False))


def paste(lines: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", lines], capture_output=True, text=True, timeout=30, check=False)


def found_by(lines: str, what: str, deadline: float) -> str:
    while True:
        answer = paste(lines).stdout
        if what in answer or time.monotonic() > deadline:
            return answer


@pytest.mark.timeout(240)
def test_what_is_published_by_hand_reaches_row_and_app_within_two_seconds(demo: Demo) -> None:
    lines = hints.sections(demo)
    paste(lines[hints.ASK])  # the first request of all waits for connections to be made
    sent = paste(lines[hints.PUBLISH])
    assert sent.returncode == 0, sent.stderr
    deadline = time.monotonic() + WITHIN_SECONDS
    entries = json.loads(found_by(lines[hints.ASK], '"entry"', deadline))["entry"]
    row = found_by(lines[hints.ROW], "(1 row)", deadline)
    assert entries[0]["resource"]["valueQuantity"]["value"] in (71, 97)
    assert "(1 row)" in row
    received = found_by(lines[hints.READ], "Observation", time.monotonic() + WITHIN_SECONDS).splitlines()
    assert entries[0]["resource"]["id"] in [json.loads(line)["id"] for line in received]


@pytest.mark.timeout(60)
def test_the_same_device_on_anothers_topic_is_refused_and_logged(demo: Demo) -> None:
    refused = paste(hints.sections(demo)[hints.FOREIGN_PUBLISH])
    assert "Not authorized" in refused.stderr + refused.stdout
    log = (demo.view.instance.logs / "mosquitto.log").read_text(errors="replace")
    assert "Denied PUBLISH" in log


@pytest.mark.timeout(60)
def test_the_same_app_on_anothers_topic_is_refused_and_logged(demo: Demo) -> None:
    refused = paste(hints.sections(demo)[hints.FOREIGN_READ])
    assert "authorization failed" in (refused.stderr + refused.stdout).lower()
    logs = "".join(path.read_text(errors="replace") for path in demo.view.instance.logs.glob("kafka*"))
    assert "is Denied" in logs


@pytest.mark.timeout(60)
def test_a_patient_who_shares_nothing_gives_an_empty_answer_that_is_on_record(demo: Demo) -> None:
    answer = json.loads(paste(hints.sections(demo)[hints.STRANGER]).stdout)
    assert answer["resourceType"] == "Bundle"
    assert not answer.get("entry")
    with psycopg.connect(demo.database.conninfo()) as connection:
        row = connection.execute("SELECT count(*) FROM access_log WHERE outcome = 'refused' AND channel = 'fhir'").fetchone()
    assert row is not None
    assert row[0] >= 1


@pytest.fixture(scope="module")
def run(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole demo, with each process killed once."""
    report = tmp_path_factory.mktemp("demo") / "demo.json"
    environment = os.environ | {"AGORA_INSTANCE": NAME, "AGORA_PORT_BASE": str(PORT_BASE), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cli", "demo", "--headless", "--seconds", "45", "--patients", str(PATIENTS)]
    done = subprocess.run(
        [*command, "--report", str(report)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return Run(done, report.read_text() if report.exists() else "")


@pytest.mark.timeout(400)
def test_every_check_holds_while_each_process_is_killed_once(platform: View, run: Run) -> None:
    assert run.done.returncode == 0, run.done.stdout[-5000:] + run.done.stderr[-3000:]
    found = json.loads(run.report)
    assert found["ledger"]["difference"] == 0
    assert found["fleet"]["receipted"] > 100
    assert platform.answers("kafka"), "a platform that ran before the demo runs on after it"


def secrets_of(demo: Demo) -> set[str]:
    """Everything that opens a door of this platform: of processes, roles, devices, apps and the operator."""
    made = asdict(credentials.load_or_make(demo.view.instance))
    secrets = {secret for kind in made.values() for secret in kind.values()}
    secrets |= {device.password for device in demo.cast.devices}
    secrets |= {secret for access in demo.cast.access.values() for secret in (access.client_secret, access.kafka_password)}
    keys = (demo.view.instance.certificates / "tokens.key", demo.view.instance.credentials / "ca.key")
    return secrets | {key.read_text().splitlines()[1] for key in keys}


def told_by(demo: Demo, run: Run) -> dict[str, str]:
    """Everything that a whole demo writes where more than its owner may look."""
    view = demo.view
    told = {path.name: path.read_text(errors="replace") for path in view.instance.logs.iterdir()}
    told |= {f"metrics of {process}": view.metrics(process) or "" for process in PROCESSES}
    running = {name: entry.identity.pid for name, entry in view.state().processes.items() if entry.alive and entry.identity}
    told |= {f"command line of {name}": Path(f"/proc/{pid}/cmdline").read_text() for name, pid in running.items()}
    return told | {"report": run.report, "output": run.done.stdout, "errors": run.done.stderr}


@pytest.mark.timeout(400)
def test_no_secret_stands_in_anything_that_a_whole_demo_writes(demo: Demo, run: Run) -> None:
    secrets, told = secrets_of(demo), told_by(demo, run)
    assert len(secrets) > 30
    assert all(len(secret) > 16 for secret in secrets)
    assert {"bridge.log", "gateway.log", "kafka.log", "postgres.log", "mosquitto.log"} <= told.keys()
    assert all(told[f"metrics of {process}"] and told[f"command line of {process}"] for process in PROCESSES)
    assert [name for name, text in told.items() if any(secret in text for secret in secrets)] == []
    assert [name for name, text in told.items() if TOKEN.search(text)] == []


@pytest.mark.timeout(400)
def test_no_log_or_metric_of_ours_names_a_patient(demo: Demo, run: Run) -> None:
    told = told_by(demo, run)
    ours = {f"{process}.log" for process in PROCESSES} | {f"metrics of {process}" for process in PROCESSES}
    names = {role.subject for role in demo.cast.roles} | {f"demo-{role.subject}" for role in demo.cast.roles}
    names |= {demo.pseudonyms[app].subject(role.subject) for app in demo.cast.access for role in demo.cast.roles}
    found = {(name, one) for name in ours for one in names if re.search(rf"(?<![\w-]){re.escape(one)}(?![\w-])", told[name])}
    assert found == set()
