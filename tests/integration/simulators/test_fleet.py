"""The fleet against a real broker over TLS."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import pytest

from contracts.instants import SECOND
from simulators.device import now
from simulators.fleet import Fleet
from simulators.messages import DueMessage, reading
from simulators.misbehaviour import Misbehaviour
from simulators.patients import DeviceCredential, Patient, cast, devices_for
from simulators.replay import choose, load
from simulators.synthetic import make_patients
from tests.integration.simulators.conftest import AnsweringBridge, Broker, credential, until


def beats(count: int, every_seconds: float = 0.02) -> Iterator[DueMessage]:
    start = now()
    for number in range(count):
        yield DueMessage(start + round(number * every_seconds * SECOND), (reading("8867-4", 60 + number % 40),))


def play(broker: Broker, devices: list[DeviceCredential], count: int = 10, misbehaviour: Misbehaviour | None = None) -> Fleet:
    sources = {one.key: beats(count) for one in devices}
    return Fleet(devices, sources, broker.address, misbehaviour or Misbehaviour(), resend_seconds=0.5)


async def test_recorded_and_synthetic_patients_publish_with_their_own_credentials_and_get_every_receipt(
    broker: Broker, bridge: AnsweringBridge
) -> None:
    patients: list[Patient] = [*choose(load(), 4), *make_patients(4, seed=7)]
    devices: list[DeviceCredential] = []
    for patient in patients:
        for planned in devices_for(patient):
            devices.append(credential(len(devices), planned.model, subject=patient.name))
    fleet = Fleet(devices, cast(patients, devices, now(), speed=3600), broker.address)
    await fleet.start()
    await until(lambda: fleet.snapshot().receipted >= 100)
    assert await fleet.stop()
    counts = fleet.snapshot()
    assert counts.made == counts.receipted
    assert counts.outstanding == counts.refused == counts.connection_failures == counts.unreadable == 0
    assert bridge.correlations() == {key: set(ids) for key, ids in fleet.receipted().items() if ids}
    assert {device for device, _, _ in bridge.seen} <= {one.key for one in devices}


async def test_a_letter_is_sent_again_with_the_same_bytes_and_correlation_until_its_receipt_comes(
    broker: Broker, bridge: AnsweringBridge
) -> None:
    bridge.answering = False
    fleet = play(broker, [credential(0)], count=3)
    await fleet.start()
    await until(lambda: fleet.snapshot().resent >= 3)
    assert fleet.snapshot().receipted == 0
    bridge.answering = True
    assert await fleet.stop()
    payloads: dict[str, set[bytes]] = {}
    for _, payload, correlation in bridge.seen:
        payloads.setdefault(correlation, set()).add(payload)
    assert len(payloads) == 3
    assert all(len(versions) == 1 for versions in payloads.values())
    assert fleet.snapshot().receipted == 3


async def test_nothing_is_lost_when_the_broker_is_killed_under_way(broker: Broker, bridge: AnsweringBridge) -> None:
    fleet = play(broker, [credential(number) for number in range(5)], count=100)
    await fleet.start()
    await until(lambda: fleet.snapshot().receipted > 20)
    await asyncio.to_thread(broker.stop, signal.SIGKILL)
    await until(lambda: fleet.snapshot().connection_losses >= 5)
    await broker.start()
    await fleet.finished()
    assert await fleet.stop(drain_seconds=30)
    counts = fleet.snapshot()
    assert counts.made == counts.receipted == 500
    assert counts.connects >= 10
    assert bridge.correlations() == fleet.receipted()


async def test_a_misbehaving_fleet_counts_exactly_what_it_did(broker: Broker, bridge: AnsweringBridge) -> None:
    bad = Misbehaviour(duplicates=0.2, disorder=0.2, gaps=0.1, garbage=0.2, offline=0.02, offline_seconds=0.3, seed=5)
    fleet = play(broker, [credential(number) for number in range(4)], count=60, misbehaviour=bad)
    await fleet.start()
    await fleet.finished()
    assert await fleet.stop(drain_seconds=30)
    counts = fleet.snapshot()
    assert counts.made + counts.gaps == 240
    assert min(counts.gaps, counts.garbage, counts.duplicates, counts.offline_bursts) > 0
    assert counts.receipted == counts.made + counts.garbage
    assert bridge.correlations() == fleet.receipted()
    assert counts.connection_losses == 0
    letters = [letter for device in fleet.sent().values() for letter in device.values()]
    assert sum(letter.garbage for letter in letters) == counts.garbage
    assert fleet.next_sequences() == {f"clinic/device-{number}": 61 for number in range(4)}


async def test_devices_without_mqtt_5_get_their_receipts_by_message_id(broker: Broker, bridge: AnsweringBridge) -> None:
    devices = [credential(0), credential(1)]
    bad = Misbehaviour(garbage=0.3, seed=1)
    sources = {one.key: beats(20) for one in devices}
    fleet = Fleet(devices, sources, broker.address, bad, legacy={devices[0].key})
    await fleet.start()
    await fleet.finished()
    assert await fleet.stop()
    by_device = fleet.snapshot_by_device()
    assert by_device[devices[0].key].receipted == 20
    assert by_device[devices[0].key].garbage > 0
    old = [payload for device, payload, correlation in bridge.seen if device == devices[0].key and correlation]
    assert all(b'"message_id":' in payload for payload in old)


async def test_a_device_with_a_wrong_password_keeps_its_letters_and_counts_its_failures(
    broker: Broker, bridge: AnsweringBridge
) -> None:
    stranger = DeviceCredential(org="clinic", device="device-0", model="agora-oximeter", password="guessed")
    fleet = play(broker, [stranger], count=5)
    await fleet.start()
    await until(lambda: fleet.snapshot().connection_failures >= 2)
    assert not await fleet.stop(drain_seconds=0)
    counts = fleet.snapshot()
    assert (counts.made, counts.published, counts.receipted, counts.outstanding, counts.connects) == (5, 0, 0, 5, 0)
    assert bridge.seen == []


async def test_a_device_whose_account_came_late_delivers_what_it_kept(broker: Broker, bridge: AnsweringBridge) -> None:
    passwords = broker.folder / "passwords"
    accounts = passwords.read_text()
    passwords.write_text("".join(line for line in accounts.splitlines(keepends=True) if "device-7:" not in line))
    broker.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    fleet = play(broker, [credential(7)], count=5)
    await fleet.start()
    await until(lambda: fleet.snapshot().connection_failures >= 1)
    passwords.write_text(accounts)
    broker.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    await until(lambda: fleet.snapshot().receipted == 5)
    assert await fleet.stop()


async def test_a_publish_the_access_list_forbids_is_counted_and_given_up(broker: Broker, bridge: AnsweringBridge) -> None:
    access = broker.folder / "access"
    rules = access.read_text()
    access.write_text(rules.replace("pattern write agora/v1/%u/up/+\n", ""))
    try:
        broker.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
        fleet = play(broker, [credential(0)], count=3)
        await fleet.start()
        await until(lambda: fleet.snapshot().refused == 3)
        assert await fleet.stop()
        assert bridge.seen == []
    finally:
        access.write_text(rules)


async def test_errors_of_the_platform_are_counted_by_code(broker: Broker, bridge: AnsweringBridge) -> None:
    bridge.error_code = "unit-unknown"
    fleet = play(broker, [credential(0)], count=4)
    await fleet.start()
    await until(lambda: fleet.snapshot().errors["unit-unknown"] == 4)
    assert await fleet.stop()
    assert fleet.snapshot().as_dict()["errors"] == {"unit-unknown": 4}


async def test_a_device_that_is_told_to_rest_keeps_what_it_writes_and_sends_it_afterwards(
    broker: Broker, bridge: AnsweringBridge
) -> None:
    bridge.answering, bridge.error_code, bridge.retry_after = False, "rate-exceeded", 4
    one = credential(0)
    fleet = Fleet([one], {one.key: beats(8, every_seconds=0.3)}, broker.address, resend_seconds=0.3)
    await fleet.start()
    await fleet.finished()
    assert fleet.snapshot().made == 8
    assert len({correlation for _, _, correlation in bridge.seen}) < 8
    bridge.answering, bridge.error_code = True, ""
    assert await fleet.stop()
    assert fleet.snapshot().receipted == 8


async def test_a_full_outbox_holds_the_device_back_and_loses_nothing(broker: Broker, bridge: AnsweringBridge) -> None:
    bridge.answering = False
    one = credential(0)
    fleet = Fleet([one], {one.key: beats(30, every_seconds=0)}, broker.address, outbox_capacity=8, resend_seconds=0.5)
    await fleet.start()
    await until(lambda: len(bridge.seen) >= 8)
    assert fleet.snapshot().made == 8
    bridge.answering = True
    await fleet.finished()
    assert await fleet.stop()
    assert fleet.snapshot().receipted == 30


async def test_a_hundred_devices_share_one_process(broker: Broker, bridge: AnsweringBridge) -> None:
    fleet = play(broker, [credential(number) for number in range(100)], count=20)
    await fleet.start()
    await fleet.finished()
    assert await fleet.stop(drain_seconds=30)
    assert fleet.snapshot().receipted == 2000


async def test_a_fleet_that_cannot_read_the_authority_says_so_at_once(broker: Broker) -> None:
    broken = Fleet([], {}, type(broker.address)("127.0.0.1", broker.port, broker.folder / "missing.crt"))
    with pytest.raises(OSError, match="No such file"):
        await broken.start()
