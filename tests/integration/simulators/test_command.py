"""``agora simulate`` as a person types it, against a real broker over TLS."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from simulators.credentials import sequences_beside, write_credentials
from simulators.patients import devices_for
from simulators.replay import choose, load
from tests.integration.simulators.conftest import AnsweringBridge, Broker, credential, until

ROOT = Path(__file__).parents[3]


async def start(broker: Broker, devices: Path, *arguments: str) -> asyncio.subprocess.Process:
    address = broker.address
    where = ("--host", address.host, "--port", str(address.port), "--ca-file", str(address.ca_file))
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", "simulate", *arguments, *where, "--credentials", str(devices), cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


def enrol(path: Path) -> Path:
    planned = [device for patient in choose(load(), 2) for device in devices_for(patient)]
    write_credentials(path, [credential(number, one.model, subject=one.patient) for number, one in enumerate(planned)])
    return path


async def test_a_replay_ends_by_itself_with_every_receipt_and_a_report(
    broker: Broker, bridge: AnsweringBridge, tmp_path: Path
) -> None:
    devices, report = enrol(tmp_path / "devices.json"), tmp_path / "report.json"
    process = await start(
        broker, devices, "replay", "--patients", "2", "--speed", "3600", "--seconds", "3", "--report", str(report)
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    counts = json.loads(report.read_text())
    assert counts["made"] == counts["receipted"] > 0
    assert counts["outstanding"] == 0
    assert len({correlation for _, _, correlation in bridge.seen}) == counts["made"]


async def test_the_next_run_goes_on_where_the_sequences_ended(broker: Broker, bridge: AnsweringBridge, tmp_path: Path) -> None:
    devices = enrol(tmp_path / "devices.json")
    for _ in range(2):
        process = await start(broker, devices, "synthetic", "--patients", "1", "--speed", "600", "--seconds", "2")
        await process.communicate()
        assert process.returncode == 0
    numbers = [json.loads(payload)["sequence"] for device, payload, _ in bridge.seen if device == "clinic/device-0"]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert json.loads(sequences_beside(devices).read_text())["clinic/device-0"] == len(numbers) + 1


async def test_an_interrupt_waits_for_the_receipts_that_are_out(broker: Broker, bridge: AnsweringBridge, tmp_path: Path) -> None:
    process = await start(broker, enrol(tmp_path / "devices.json"), "synthetic", "--patients", "2", "--speed", "600")
    await until(lambda: len(bridge.seen) > 5)
    process.send_signal(signal.SIGINT)
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert b" 0 outstanding" in said


async def test_without_anybody_who_answers_the_command_says_so_and_fails(
    broker: Broker, bridge: AnsweringBridge, tmp_path: Path
) -> None:
    bridge.answering = False
    process = await start(
        broker, enrol(tmp_path / "devices.json"), "replay", "--patients", "1", "--speed", "3600", "--seconds", "1", "--drain", "1"
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert b"no receipt" in said
