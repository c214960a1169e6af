import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.child import Command, Identity
from deploy.local.children import Children
from deploy.local.problems import Problem
from deploy.local.state import glances

ENDLESS = "import signal; signal.pause()"
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()\nsignal.pause()"
)


def command(program: str, name: str = "child", **more: object) -> Command:
    return Command(name, [sys.executable, "-c", program], {"PATH": os.environ["PATH"]}, Path("/"), **more)  # type: ignore[arg-type]


@pytest.fixture
def children(tmp_path: Path) -> Children:
    return Children(tmp_path, lambda: None)


def test_who_is_killed_is_started_again_within_a_second(children: Children) -> None:
    children.start(command(ENDLESS))
    first = children.picture()["child"].identity
    assert first is not None
    first.signal(signal.SIGKILL)
    for _ in glances(1):
        children.tend()
    running = children.picture()["child"]
    assert running.alive
    assert (running.restarts, running.identity != first) == (1, True)
    children.stop(["child"], 5)


def test_who_keeps_dying_is_started_again_after_ever_longer_pauses(children: Children) -> None:
    children.start(command("raise SystemExit(1)"))
    for _ in glances(2.5):
        children.tend()
    restarts = children.picture()["child"].restarts
    children.stop(["child"], 5)
    assert 1 <= restarts <= 3


def test_a_process_that_dies_at_its_start_is_told_with_its_last_words(children: Children) -> None:
    children.start(command("raise SystemExit('no disk')"))
    with pytest.raises(Problem, match="no disk"):
        children.wait_ready("child", lambda: False, 10)


def test_who_does_not_answer_in_time_is_told(children: Children) -> None:
    children.start(command(ENDLESS))
    with pytest.raises(Problem, match="did not answer within 0 s"):
        children.wait_ready("child", lambda: False, 0.3)
    children.stop(["child"], 5)


def test_who_ignores_the_request_to_end_is_killed_at_the_deadline(children: Children, tmp_path: Path) -> None:
    children.start(command(STUBBORN))
    children.wait_ready("child", lambda: "ready" in (tmp_path / "child.log").read_text(), 10)
    assert children.stop(["child"], 0.3) == ["child"]
    assert children.names() == []


def test_a_process_ends_with_who_started_it(tmp_path: Path) -> None:
    starter = f"""
import pathlib, signal, sys
from deploy.local.child import Command, start
program = "import signal; print('ready', flush=True); signal.pause()"
log = pathlib.Path({str(tmp_path)!r}) / "log"
process = start(Command("child", [sys.executable, "-c", program], {{}}, pathlib.Path("/")), log)
print(process.pid, flush=True)
signal.pause()
"""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen([sys.executable, "-c", starter], env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = Identity.of(int(parent.stdout.readline()))
        assert child is not None
        for _ in glances(10):
            if "ready" in (tmp_path / "log").read_text():
                break
        parent.kill()
    for _ in glances(5):
        if not child.alive:
            break
    assert not child.alive


def test_a_later_process_with_the_same_number_is_not_taken_for_the_earlier_one() -> None:
    mine = Identity.of(os.getpid())
    assert mine is not None
    assert mine.alive
    assert not Identity(mine.pid, mine.started - 1).alive
    assert not Identity(mine.pid, mine.started - 1).signal(signal.SIGKILL)
