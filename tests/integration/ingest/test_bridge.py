"""One message at a time through real servers: it ends in the log as it was sent, and its sender is told."""

from collections.abc import AsyncIterator

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from contracts import down
from contracts.down import DeviceError, DownRecord, correlation_text
from contracts.errors import Code
from contracts.ids import device_key, partition_of
from contracts.mqtt import down_topic, up_topic
from contracts.quarantine import decode_quarantined
from contracts.topics import DOWN, QUARANTINE, RAW
from deploy.local.stack import Stack
from runtime import clock, kafka
from tests.support.bridging import BridgeProcess, Device, enrol, raw, records, settings_of, until

ORG = "bridging"
LIMIT = 65_536


@pytest.fixture
async def bridge(stack: Stack) -> AsyncIterator[BridgeProcess]:
    enrol(stack, [f"{ORG}/{name}" for name in ("cuff-1", "cuff-2", "old-cuff")])
    async with BridgeProcess(stack, frame_bytes=LIMIT) as process:
        yield process


async def test_a_message_ends_in_the_log_as_it_was_sent_and_gets_its_receipt(stack: Stack, bridge: BridgeProcess) -> None:
    payload, before = b"\x00\xff anything at all", clock.now()
    async with Device(stack, f"{ORG}/cuff-1") as device:
        device.send(payload, correlation=b"as-it-was", response=down_topic(ORG, "cuff-1", "receipts"))
        await until(lambda: correlation_text(b"as-it-was") in device.receipted())
    (message,) = [message for message in await raw(stack, ORG) if message.correlation == b"as-it-was"]
    assert (message.topic, message.payload) == (up_topic(ORG, "cuff-1"), payload)
    assert before <= message.received_at <= clock.now()
    assert device.errors == []


@pytest.mark.parametrize(("socket", "missed"), [("", 0), ("/nowhere/socket", 1)])
async def test_without_a_socket_that_can_be_entered_the_broker_is_reached_over_tls(
    stack: Stack, socket: str, missed: int
) -> None:
    enrol(stack, [f"{ORG}/cuff-1"])
    async with BridgeProcess(stack, broker_socket=socket) as process, Device(stack, f"{ORG}/cuff-1") as device:
        device.send(b"from afar", correlation=b"from-afar")
        await until(lambda: correlation_text(b"from-afar") in device.receipted())
        assert process.metric("sessions_connected_total") == 1
        assert process.metric("sockets_missed_total") == missed
    assert b"from afar" in {message.payload for message in await raw(stack, ORG)}


async def test_a_record_stands_in_its_devices_partition_with_its_count(stack: Stack, bridge: BridgeProcess) -> None:
    async with Device(stack, f"{ORG}/cuff-1") as device:
        device.send(b"{}", correlation=b"partition")
        await until(lambda: bool(device.receipts))
    expected = partition_of(device_key(ORG, "cuff-1"), RAW.partitions)
    (record,) = [record for record in await records(stack, RAW) if b"partition" in record.value]
    assert (record.partition, dict(record.headers)["agora-count"]) == (expected, b"1")


async def test_a_device_of_mqtt_311_gets_its_receipt_by_message_id(stack: Stack, bridge: BridgeProcess) -> None:
    async with Device(stack, f"{ORG}/old-cuff", MQTTProtocolVersion.MQTTv311) as device:
        device.send(b'{"message_id":"of-old","code":"8867-4","value":70,"unit":"/min"}')
        await until(lambda: bool(device.receipts))
    assert [(receipt.correlation, receipt.kind, receipt.outcome) for receipt in device.receipts] == [
        ("of-old", "message_id", "durable")
    ]


async def test_a_message_that_asks_for_nothing_is_kept_without_a_word(stack: Stack, bridge: BridgeProcess) -> None:
    async with Device(stack, f"{ORG}/cuff-1") as device:
        device.send(b"silent", qos=0)
        device.send(b"heard", correlation=b"after-silent")
        await until(lambda: bool(device.receipts))
        assert len(device.heard) == 1
    assert b"silent" in {message.payload for message in await raw(stack, ORG)}


async def test_a_foreign_response_topic_is_refused_in_words_and_never_written_to(stack: Stack, bridge: BridgeProcess) -> None:
    async with Device(stack, f"{ORG}/cuff-1") as sender, Device(stack, f"{ORG}/cuff-2") as victim:
        sender.send(b"{}", correlation=b"foreign", response=down_topic(ORG, "cuff-2", "commands"))
        await until(lambda: bool(sender.errors))
        victim.send(b"{}", correlation=b"of-victim")
        await until(lambda: bool(victim.receipts))
        assert victim.heard == [down_topic(ORG, "cuff-2", "receipts")]
    (error,) = sender.errors
    assert (error.code, error.severity, error.correlation) == (
        Code.RESPONSE_TOPIC_FOREIGN,
        "warning",
        correlation_text(b"foreign"),
    )


async def test_too_long_a_message_is_quarantined_with_its_reason_and_holds_nobody_up(stack: Stack, bridge: BridgeProcess) -> None:
    async with Device(stack, f"{ORG}/cuff-1") as device:
        device.send(b"l" * LIMIT, correlation=b"too-long")
        device.send(b"short", correlation=b"after-too-long")
        await until(lambda: bool(device.errors) and bool(device.receipts))
        await until(lambda: bridge.metric("messages_waiting") == 0)
    assert device.receipted() == {correlation_text(b"after-too-long")}
    assert (device.errors[0].code, device.errors[0].severity) == (Code.PAYLOAD_TOO_LARGE, "error")
    kept = [decode_quarantined(record.value) for record in await records(stack, QUARANTINE)]
    (message,) = [message for message in kept if message.correlation == b"too-long"]
    assert (message.stage, message.code, message.source, message.payload) == (
        "bridge",
        Code.PAYLOAD_TOO_LARGE,
        "",
        b"l" * LIMIT,
    )
    assert bridge.metric("messages_refused_total") == 1


async def test_a_topic_of_the_wrong_shape_is_kept_for_the_normaliser_to_judge(stack: Stack, bridge: BridgeProcess) -> None:
    async with Device(stack, f"{ORG}/cuff-1") as device:
        device.send(b"deep", correlation=b"deep", stream="vitals/deeper")
        await until(lambda: bool(device.receipts))
    assert f"{up_topic(ORG, 'cuff-1')}/deeper" in {message.topic for message in await raw(stack, ORG)}


async def test_an_error_of_a_later_stage_reaches_its_device_and_is_not_told_twice(stack: Stack, bridge: BridgeProcess) -> None:
    error = DeviceError(Code.UNIT_UNKNOWN, "unit 'F' is not UCUM: did you mean [degF]?", field="$.unit", message_id="m-9")
    async with Device(stack, f"{ORG}/cuff-2") as device:
        async with kafka.producer(settings_of(stack)) as producer:
            await producer.send_and_wait(DOWN.name, b"not a record", key=b"x")
            await producer.send_and_wait(DOWN.name, down.encode(DownRecord("+", "#", "errors", error)), key=b"x")
            record = down.encode(DownRecord(ORG, "cuff-2", "errors", error))
            await producer.send_and_wait(DOWN.name, record, key=device_key(ORG, "cuff-2").encode())
        await until(lambda: bool(device.errors))
        await until(lambda: bridge.metric("errors_forwarded_total") == 1)
        assert bridge.metric("errands_skipped_total") == 2
        await bridge.stop()
        await bridge.start()
        device.send(b"{}", correlation=b"after-restart")
        await until(lambda: bool(device.receipts))
    assert device.errors == [error]


async def test_told_to_stop_it_finishes_what_it_holds_and_the_rest_waits_in_the_broker(
    stack: Stack, bridge: BridgeProcess
) -> None:
    async with Device(stack, f"{ORG}/cuff-1") as device:
        for number in range(2000):
            device.send(b"{}", correlation=f"drain-{number}".encode())
        await until(lambda: len(device.receipts) > 50)
        assert await bridge.stop() == 0
        await until(lambda: len(device.acknowledged) == 2000)
        told = len(device.receipted())
        assert len([message for message in await raw(stack, ORG) if (message.correlation or b"").startswith(b"drain-")]) == told
        await bridge.start()
        await until(lambda: len(device.receipted()) == 2000)
    order = [message.correlation for message in await raw(stack, ORG) if (message.correlation or b"").startswith(b"drain-")]
    assert order == [f"drain-{number}".encode() for number in range(2000)]
