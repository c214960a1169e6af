"""``agora chaos`` as a newcomer runs it: a short run holds, and what is done wrong on purpose is found."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.instance import Instance

ROOT = Path(__file__).parents[2]
NAME = os.environ.get("AGORA_INSTANCE", "test") + "-short"
PORT_BASE = int(os.environ.get("AGORA_PORT_BASE", "22000"))
RATE = "100"


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    shutil.rmtree(Instance.of(f"{NAME}-chaos", PORT_BASE).folder, ignore_errors=True)


def chaos(report: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    environment = os.environ | {"AGORA_INSTANCE": NAME, "AGORA_PORT_BASE": str(PORT_BASE), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cli", "chaos", "--rate", RATE, "--report", str(report), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert report.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    return done, json.loads(report.read_text())


@pytest.mark.timeout(500)
def test_parts_killed_frozen_and_cut_off_under_load_lose_double_change_and_leak_nothing(tmp_path: Path) -> None:
    done, found = chaos(tmp_path / "chaos.json", "--kills", "8", "--seconds", "30", "--seed", "9")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert len(found["faults"]) == 8
    assert found["ledger"]["difference"] == 0
    assert found["counts"]["compared"] > 1000
    assert found["counts"]["alerts"] > 10
    assert found["wrong"]["counts"] == {}
    (withdrawal,) = found["withdrawals"]
    assert withdrawal["met"], "a fault on its path"
    assert withdrawal["told_to_erase"] is not None
    assert found["messages_per_raw_record"]["longest"] >= 5, "records of several messages"
    assert any(
        check["name"].startswith("what a person said") and not check["detail"].startswith("0 taken") for check in found["checks"]
    )


@pytest.mark.timeout(300)
def test_a_skipped_frame_a_doubled_row_a_message_in_quarantine_and_a_record_without_consent_are_found(tmp_path: Path) -> None:
    plants = "skipped-frame,doubled-row,quarantined-message,unconsented-record"
    done, found = chaos(tmp_path / "chaos.json", "--kills", "0", "--seconds", "10", "--seed", "3", "--plant", plants)
    assert done.returncode == 1, done.stdout[-6000:] + done.stderr[-3000:]
    assert len(found["planted"]) == 4
    wrong = found["wrong"]["counts"]
    assert 0 < wrong["lost"] < 100, "the skipped frame's messages, and no others"
    assert wrong["doubled"] == 1
    assert wrong["quarantined though valid"] == 1
    assert wrong["without consent"] == 1
    failed = {check["name"] for check in found["checks"] if not check["passed"]}
    assert "the ledger closes" in failed
    assert "--seed 3" in done.stdout, "how to reproduce it"
