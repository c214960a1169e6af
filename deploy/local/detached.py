"""Starting and stopping an instance that goes on running after the command which started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from deploy.local import state
from deploy.local.accounts import remove_instance
from deploy.local.child import last_lines
from deploy.local.instance import CHECKOUT, PROCESSES, Instance
from deploy.local.preparation import get_software
from deploy.local.problems import Problem
from deploy.local.software import Progress
from deploy.local.stack import clear_leftovers
from deploy.local.state import Phase, State

START_SECONDS = 300.0
STOP_SECONDS = 60.0
_launched: list[subprocess.Popen[bytes]] = []
"""Supervisors that this process started, kept from being taken for forgotten ones."""


def up(instance: Instance, progress: Progress, *, servers_only: bool = False) -> State:
    """Start an instance, or join a start that is under way, and wait until it is ready.

    Args:
        instance: which.
        progress: told each step as it begins.
        servers_only: leave out our own processes.

    Returns:
        What runs now.

    Raises:
        Problem: it could not be started.
    """
    if not state.is_locked(instance):
        get_software(instance, progress)  # here, where the caller sees it and it can be interrupted
        _launch(instance, servers_only)
    now = _follow(instance, progress)
    if not servers_only and not set(PROCESSES) & set(now.processes):
        raise Problem("only the servers run here", "./agora down, then ./agora up")
    return now


def _forget_ended() -> None:
    _launched[:] = [process for process in _launched if process.poll() is None]


def _launch(instance: Instance, servers_only: bool) -> None:
    _forget_ended()
    with state.take_lock(instance):
        clear_leftovers(instance)
        state.write(instance, State())  # what an earlier run said last shall not be taken for this one's word
    environment = os.environ | {
        "PYTHONPATH": str(CHECKOUT),
        "AGORA_INSTANCE": instance.name,
        "AGORA_PORT_BASE": str(instance.ports.base),
    }
    arguments = ["--servers-only"] if servers_only else []
    with (instance.logs / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.local.supervisor", *arguments],
            env=environment,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _launched.append(process)
    for _ in state.glances(10):
        if state.is_locked(instance) or process.poll() is not None:
            return


def _follow(instance: Instance, progress: Progress) -> State:
    told = ""
    for _ in state.glances(START_SECONDS):
        now = state.read(instance)
        if now.phase is Phase.READY:
            return now
        if now.phase is Phase.FAILED and not state.is_locked(instance):
            raise Problem(now.problem, now.remedy)
        if not state.is_locked(instance):
            said = last_lines(instance.logs / "supervisor.log", 4)
            raise Problem(f"the supervisor ended at its start\n{said}", "./agora logs supervisor")
        if now.step and now.step != told:
            told = now.step
            progress(told)
    raise Problem(f"the start took longer than {START_SECONDS:.0f} s", "./agora logs supervisor")


def down(instance: Instance, progress: Progress, *, purge: bool = False, keep_software: bool = False) -> bool:
    """Stop an instance in good order.

    Args:
        instance: which.
        progress: told what is being done.
        purge: remove all its data, credentials and logs as well.
        keep_software: with ``purge``, keep the downloads, also when it is the last instance.

    Returns:
        Whether anything ran.

    Raises:
        Problem: it runs inside another program, which has to stop it.
    """
    ran = _stop(instance, progress)
    if purge:
        progress("removing all data")
        remove_instance(instance, keep_software=keep_software)
    _forget_ended()
    return ran


def _stop(instance: Instance, progress: Progress) -> bool:
    if not instance.run.exists():
        return False
    now = state.read(instance)
    ran = any(entry.alive for entry in now.processes.values())
    owner = now.owner
    if owner and owner.alive and state.is_locked(instance):  # else it was a program that has stopped the instance itself
        if owner.pid == os.getpid():
            raise Problem("this very program runs the instance", "Stop it with its Stack.")
        progress("asking everything to stop")
        owner.signal(signal.SIGTERM)
        told = ""
        for _ in state.glances(STOP_SECONDS):
            if not owner.alive:
                break
            step = state.read(instance).step
            if step and step != told:
                told = step
                progress(told)
        else:
            owner.signal(signal.SIGKILL)
        ran = True
    clear_leftovers(instance)
    return ran
