import pytest

from contracts import down
from contracts.down import DeviceError, DownRecord
from ingest.errands import errand

ERROR = DeviceError("unit-unknown", "words")


def record(org: str = "sme-a", device: str = "cuff-1", what: str = "errors") -> bytes:
    return down.encode(DownRecord(org, device, what, ERROR))


def test_an_error_goes_to_the_devices_own_topic() -> None:
    assert errand(record()) == (b"agora/v1/sme-a/cuff-1/down/errors", down.encode(ERROR))


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{}",
        record(what="receipts"),
        record(what="errors/x"),
        record(org="+"),
        record(device="#"),
        record(device="a/b"),
    ],
)
def test_nothing_but_an_errand_is_run(value: bytes | None) -> None:
    assert errand(value) is None
