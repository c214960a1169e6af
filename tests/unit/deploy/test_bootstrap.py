import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from deploy.bootstrap import needs
from deploy.bootstrap.console import Failed, run
from deploy.bootstrap.virtual_environment import VirtualEnvironment
from deploy.local import private_prefix

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("line", "servers"),
    [
        ("up", True),
        ("demo --headless --seconds 90", True),
        ("test tests/faults", True),
        ("chaos --kills 5", True),
        ("outage both", True),
        ("test --fast", False),
        ("demo --help", False),
        ("status --json", False),
        ("--help", False),
        ("", False),
    ],
)
def test_only_a_command_that_starts_servers_asks_for_their_packages(line: str, servers: bool) -> None:
    assert needs.needs_servers(line.split()) is servers


@pytest.mark.parametrize(("line", "libraries"), [("test --fast", True), ("lock", True), ("test --help", False), ("up", False)])
def test_only_a_command_that_runs_tests_asks_for_their_libraries(line: str, libraries: bool) -> None:
    assert needs.needs_test_libraries(line.split()) is libraries


def test_timescaledb_comes_from_the_system_where_the_system_has_it() -> None:
    assert needs.has_package_of_timescaledb({"ID": "debian", "VERSION_ID": "13"})
    assert not needs.has_package_of_timescaledb({"ID": "debian", "VERSION_ID": "12"})
    assert not needs.has_package_of_timescaledb({"ID": "debian"})
    assert not needs.has_package_of_timescaledb({"ID": "ubuntu", "VERSION_ID": "24.04"})


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with nothing to install, in a path with a blank."""
    folder = tmp_path / "check out"
    (folder / "requirements").mkdir(parents=True)
    for name in ("runtime", "test"):
        (folder / "requirements" / f"{name}.txt").write_text("# nothing\n")
    return folder


class Steps:
    """Stands for the slow commands: notes them, and leaves an interpreter behind as they would."""

    def __init__(self, checkout: Path) -> None:
        self.done: list[str] = []
        self._python = checkout / ".venv" / "bin" / "python"

    def __call__(self, step: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.done.append("make" if "venv" in command else Path(command[-1]).name)
        self._python.parent.mkdir(parents=True, exist_ok=True)
        self._python.touch()


class CutSteps(Steps):
    """Fails at the libraries."""

    def __call__(self, step: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        super().__call__(step, command)
        if self.done[-1] != "make":
            raise Failed("the line was cut")


def test_an_environment_is_made_once_and_brought_up_to_date_when_the_lock_changes(checkout: Path) -> None:
    steps = Steps(checkout)
    environment = VirtualEnvironment(checkout, steps)
    for _ in range(2):
        environment.make(test=False)
    assert steps.done == ["make", "runtime.txt"]
    (checkout / "requirements" / "runtime.txt").write_text("# nothing, but other\n")
    assert not environment.is_ready(test=False)
    environment.make(test=False)
    assert steps.done[2:] == ["runtime.txt"]
    assert environment.is_ready(test=False)


def test_the_libraries_of_the_tests_are_installed_when_first_asked_for_and_then_kept(checkout: Path) -> None:
    steps = Steps(checkout)
    environment = VirtualEnvironment(checkout, steps)
    environment.make(test=False)
    assert not environment.is_ready(test=True)
    environment.make(test=True)
    (checkout / "requirements" / "runtime.txt").write_text("# nothing, but other\n")
    environment.make(test=False)
    assert steps.done == ["make", "runtime.txt", "test.txt", "test.txt"]
    assert environment.is_ready(test=True)


def test_a_half_finished_environment_is_made_anew(checkout: Path) -> None:
    with pytest.raises(Failed):
        VirtualEnvironment(checkout, CutSteps(checkout)).make(test=False)
    steps = Steps(checkout)
    assert not VirtualEnvironment(checkout, steps).is_ready(test=False)
    VirtualEnvironment(checkout, steps).make(test=False)
    assert steps.done == ["make", "runtime.txt"]


def test_an_environment_of_another_python_is_made_anew(checkout: Path) -> None:
    steps = Steps(checkout)
    environment = VirtualEnvironment(checkout, steps)
    environment.make(test=False)
    stamp = checkout / ".venv" / "agora.json"
    stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"python": "CPython 3.9.1"}))
    environment.make(test=False)
    assert steps.done == ["make", "runtime.txt"] * 2


@pytest.mark.slow  # makes an environment
def test_a_library_without_its_hash_is_refused(checkout: Path) -> None:
    (checkout / "requirements" / "runtime.txt").write_text("agora-nothing==1.0\n")
    with pytest.raises(Failed, match="hash"):
        VirtualEnvironment(checkout).make(test=False)
    assert not VirtualEnvironment(checkout).is_ready(test=False)


def test_a_step_that_fails_is_told_with_its_last_words(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failed, match="no such luck"):
        run("trying", [sys.executable, "-c", "raise SystemExit('no such luck')"])
    assert "agora: trying" in capfd.readouterr().err


def test_without_root_or_sudo_a_missing_package_is_told_as_one_line(tmp_path: Path) -> None:
    program = (
        "import os, sys; from deploy.bootstrap import start\n"
        "os.geteuid = lambda: 1000\n"
        "try: start._install_packages(['maven', 'mosquitto'])\n"
        "except start.Failed as failed: print(failed.code, failed)"
    )
    (tmp_path / "apt-get").symlink_to("/bin/true")
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}
    said = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True).stdout
    assert said.startswith("3 ")
    lines = [line for line in said.splitlines() if "apt-get install" in line]
    assert len(lines) == 1
    assert "maven mosquitto" in lines[0]


def test_the_script_says_which_python_it_wants_when_it_finds_none(tmp_path: Path) -> None:
    pretended = "import sys, runpy; sys.version_info = (3, 9, 1); sys.argv = ['agora']"
    program = f"{pretended}; runpy.run_path({str(ROOT / 'agora')!r}, run_name='__main__')"
    environment = {"PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "Python 3.11, 3.12 or 3.13 is needed" in done.stderr


def test_what_lies_in_the_folder_one_calls_from_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "__main__.py").write_text("raise SystemExit('the wrong one')")
    done = subprocess.run([ROOT / "agora", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "telemedicine" in done.stdout


def test_apts_sources_are_read_in_both_of_their_formats(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(
        "Types: deb\n# a remark: with a colon\nURIs: http://mirror.example/debian\n"
        "Suites: bookworm bookworm-updates\nComponents: main\n\n"
        "Types: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\n"
    )
    (tmp_path / "sources.list").write_text("# none\ndeb [arch=amd64] http://old.example/debian bullseye main\n")
    assert private_prefix.sources(tmp_path) == [
        ("http://mirror.example/debian", ["bookworm", "bookworm-updates"]),
        ("http://mirror.example/security", ["bookworm-security"]),
        ("http://old.example/debian", ["bullseye"]),
    ]
