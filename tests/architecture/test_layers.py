import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = (
    "bench",
    "catalogue",
    "cli",
    "contracts",
    "deploy",
    "ingest",
    "registry",
    "runtime",
    "sharing",
    "simulators",
    "storage",
    "streams",
)


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


def test_rooms_import_downwards_only() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / ".importlinter", folder)
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("*.gz", "*.sql", "__pycache__"))
    return folder


@pytest.mark.parametrize(
    ("planted_in", "line", "contract"),
    [
        ("contracts", "import runtime.clock", "Rooms import downwards only"),
        ("ingest", "import storage.migrate", "Rooms import downwards only"),
        ("streams/rules", "import asyncio", "Pure rooms know no client"),
        ("simulators", "import runtime.clock", "Simulators stand outside"),
        ("sharing", "import deploy.local", "Nothing that runs in a deployment"),
    ],
)
def test_a_planted_violation_is_caught(copy: Path, planted_in: str, line: str, contract: str) -> None:
    planted = copy / planted_in / "planted.py"
    planted.write_text(line + "\n", encoding="utf-8")
    try:
        result = lint(copy)
    finally:
        planted.unlink()
    assert result.returncode == 1
    broken = [row for row in result.stdout.splitlines() if row.endswith("BROKEN")]
    assert [row for row in broken if row.startswith(contract)], result.stdout


def test_every_room_is_linted() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == set(ROOMS)
