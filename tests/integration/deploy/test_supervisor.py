"""The platform as ``agora up`` starts it: detached, watched over, and never in its own way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from deploy.local import detached, state
from deploy.local.child import Identity
from deploy.local.instance import CHECKOUT, SERVERS, Instance
from deploy.local.problems import Problem
from deploy.local.stack import Stack
from deploy.local.state import Phase
from deploy.local.view import View

BESIDE = 500
"""How far the ports of these tests' own instance are from the shared one's."""


def nothing(_step: str) -> None:
    """Tell nobody."""


@pytest.fixture(scope="module")
def instance(servers: object) -> Iterator[Instance]:
    """An instance of its own, since these tests stop and remove it."""
    base = int(os.environ.get("AGORA_PORT_BASE", "22000")) + BESIDE
    made = Instance.of(f"{os.environ.get('AGORA_INSTANCE', 'test')}-detached", base)
    yield made
    detached.down(made, nothing)
    detached.down(made, nothing, purge=True)


@pytest.fixture
def view(instance: Instance) -> View:
    """The instance with its servers running, whatever the test before left."""
    detached.up(instance, nothing, servers_only=True)
    return View(instance)


def all_gone(identities: list[Identity]) -> bool:
    return all(state.wait_gone(identity, 20) for identity in identities)


def identities(view: View) -> list[Identity]:
    found = [running.identity for running in view.state().processes.values()]
    return [identity for identity in found if identity is not None]


def agora(instance: Instance, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "COLUMNS": "200", "HOME": os.environ.get("HOME", "/")}
    environment |= {"AGORA_INSTANCE": instance.name, "AGORA_PORT_BASE": str(instance.ports.base)}
    return subprocess.run([sys.executable, "-m", "cli", *arguments], env=environment, capture_output=True, text=True, check=False)


def test_up_twice_leaves_everything_as_it_is(view: View) -> None:
    before = identities(view)
    assert agora(view.instance, "up", "--servers-only").returncode == 0
    assert identities(view) == before


def test_what_is_killed_is_started_again_and_answers(view: View) -> None:
    for name in SERVERS:
        killed = view.kill(name)
        view.wait_restarted(name, killed, 15)
        for _ in state.glances(60):
            if view.answers(name):
                break
        assert view.answers(name)
    assert {name: running.restarts for name, running in view.state().processes.items()} == dict.fromkeys(SERVERS, 1)


def test_a_second_one_cannot_start_what_runs(view: View) -> None:
    with pytest.raises(Problem, match="runs already"):
        Stack(view.instance).start_servers()
    assert view.state().phase is Phase.READY


def test_a_killed_supervisor_leaves_nothing_that_runs_or_stops_the_next_start(view: View) -> None:
    before = identities(view)
    owner = view.state().owner
    assert owner is not None
    owner.signal(signal.SIGKILL)
    assert all_gone(before)
    assert view.state().phase is Phase.STOPPED
    assert detached.up(view.instance, nothing, servers_only=True).phase is Phase.READY


def test_a_server_that_hangs_after_its_supervisor_was_killed_is_cleared_away_by_the_next_start(view: View) -> None:
    hanging = view.kill("mosquitto", signal.SIGSTOP)
    owner = view.state().owner
    assert owner is not None
    owner.signal(signal.SIGKILL)
    assert state.wait_gone(owner, 20)
    assert hanging.alive
    assert detached.up(view.instance, nothing, servers_only=True).phase is Phase.READY
    assert not hanging.alive


def test_everything_killed_at_once_does_not_stop_the_next_start(view: View) -> None:
    owner = view.state().owner
    assert owner is not None
    before = [owner, *identities(view)]
    for identity in before:
        identity.signal(signal.SIGKILL)
    assert all_gone(before)
    lock = view.instance.data / "postgres" / "postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")  # the number is another process's by now
    assert detached.up(view.instance, nothing, servers_only=True).phase is Phase.READY


def test_a_start_that_was_cut_half_way_is_begun_anew(view: View) -> None:
    detached.down(view.instance, nothing)
    for mark in ("kafka.formatted", "postgres.initialised"):
        (view.instance.data / mark).unlink()
    (view.instance.data / "postgres" / "PG_VERSION").unlink()
    (view.instance.data / "kafka" / "log" / "meta.properties").unlink()
    assert detached.up(view.instance, nothing, servers_only=True).phase is Phase.READY


def test_a_taken_port_stops_the_start_with_its_number_and_a_remedy(view: View) -> None:
    detached.down(view.instance, nothing)
    listen = f"s = socket.create_server(('127.0.0.1', {view.instance.ports.mqtt}))"
    program = f"import socket, signal; {listen}; print('on', flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        said = agora(view.instance, "up", "--servers-only")
        other.kill()
    assert said.returncode == 2
    assert str(view.instance.ports.mqtt) in said.stderr
    assert f"process {other.pid}" in said.stderr
    assert "AGORA_PORT_BASE=" in said.stderr


def test_status_logs_and_down_tell_what_is_and_what_to_do(view: View) -> None:
    told = json.loads(agora(view.instance, "status", "--json").stdout)
    assert told["phase"] == "ready"
    assert set(told["processes"]) == set(SERVERS)
    assert told["versions"]["TimescaleDB"]
    assert "kafka" in agora(view.instance, "status").stdout
    assert "database system is ready" in agora(view.instance, "logs", "postgres", "-n", "500").stdout
    assert agora(view.instance, "doctor").returncode == 0
    assert "stopped" in agora(view.instance, "down").stderr
    after = agora(view.instance, "status")
    assert after.returncode == 3
    assert "./agora up" in after.stdout
    assert "nothing was running" in agora(view.instance, "down").stderr


def test_purge_removes_all_of_the_instance_and_nothing_else(view: View) -> None:
    folder = view.instance.folder
    assert agora(view.instance, "down", "--purge").returncode == 0
    assert not folder.exists()
    assert not view.state().processes
