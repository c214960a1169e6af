import pytest

from bench.chain.workload import (
    FIRST_SEQUENCE,
    READINGS,
    TAILS,
    Composer,
    device_name,
    instant_text,
    payload,
    tails,
)
from catalogue.formats import DECODERS
from catalogue.registry import BY_CODE
from ingest.packets import reply_properties, split

INSTANT = instant_text(1_700_000_000.25)


def test_a_message_is_what_devices_send_and_as_long_as_the_workload_says() -> None:
    message = payload(FIRST_SEQUENCE, INSTANT, tails()[0])
    decoded = DECODERS["agora-json"](message)
    assert len(decoded.readings) == READINGS
    assert decoded.readings[0].time == 1_700_000_000_250_000
    assert 210 <= len(message) <= 230


def test_no_message_is_beyond_a_limit_so_that_no_alert_is_measured() -> None:
    for tail in tails():
        for reading in DECODERS["agora-json"](payload(FIRST_SEQUENCE, INSTANT, tail)).readings:
            limits = BY_CODE[reading.code].limits
            value = reading.value if reading.unit != "[degF]" else (reading.value - 32) / 1.8
            assert limits is None or (limits.low or value) <= value <= (limits.high or value)


@pytest.mark.parametrize("receipts", [False, True])
def test_packets_are_whole_and_come_from_the_devices_in_turn(receipts: bool) -> None:
    composer = Composer(range(3, 9, 3), receipts)
    packets = split(composer.packets(3, INSTANT) + composer.packets(2, INSTANT))
    devices = [one.topic.split(b"/")[3].decode() for one in packets.publishes]
    assert devices == [device_name(number) for number in (3, 6, 3, 6, 3)]
    assert packets.consumed == sum(len(one.topic) + len(one.payload) + len(one.properties) for one in packets.publishes) + 8 * 5
    asked = {reply_properties(one.properties)[0] for one in packets.publishes}
    assert asked == ({number.to_bytes(8, "big") for number in range(5)} if receipts else {None})


def test_no_two_messages_of_a_device_have_one_identity() -> None:
    packets = split(Composer(range(2), receipts=False).packets(2 * TAILS, INSTANT))
    sequences = [DECODERS["agora-json"](one.payload).readings[0].sequence for one in packets.publishes]
    assert len(set(sequences)) == len(sequences)
