import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST = 320


def tracked(pattern: str) -> Iterator[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", pattern], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return (ROOT / name for name in listed.split("\0") if name and (ROOT / name).exists())


def test_no_python_file_is_longer_than_one_reads_at_a_sitting() -> None:
    long = {
        str(path.relative_to(ROOT)): count for path in tracked("*.py") if (count := len(path.read_text().splitlines())) > LONGEST
    }
    assert long == {}


@pytest.mark.parametrize("word", ["time.sleep(", "pytest.skip(", "# TODO", "# FIXME", "# XXX"])
def test_no_left_over_stands_in_the_code(word: str) -> None:
    found = [str(path.relative_to(ROOT)) for path in tracked("*.py") if path != Path(__file__) and word in path.read_text()]
    assert found == []


def test_only_settings_read_the_environment() -> None:
    allowed = ("deploy/", "tests/", "cli/", "bench/", "agora", "examples/", "simulators/")
    found = [
        str(path.relative_to(ROOT))
        for path in tracked("*.py")
        if not str(path.relative_to(ROOT)).startswith(allowed)
        and ("os.environ" in path.read_text() or "getenv" in path.read_text())
    ]
    assert found == []


def test_only_telemetry_logs() -> None:
    rooms = ("catalogue/", "contracts/", "ingest/", "registry/", "sharing/", "storage/", "streams/")
    found = [
        str(path.relative_to(ROOT))
        for path in tracked("*.py")
        if str(path.relative_to(ROOT)).startswith(rooms) and ("getLogger" in path.read_text() or "get_logger" in path.read_text())
    ]
    assert found == []
