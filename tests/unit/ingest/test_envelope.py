import pytest

from ingest.envelope import message_id


def test_an_id_at_the_top_is_found() -> None:
    assert message_id(b'{"readings":[],"message_id":"m-1"}') == "m-1"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b'{"code":"8867-4","value":70}',
        b'{"readings":[{"message_id":"inner"}]}',
        b'{"note":"the \\"message_id\\" field","other":"\\"message_id\\""}',
        b'{"message_id":7}',
        b'{"message_id":null}',
        b'{"message_id":""}',
        b'["message_id"]',
        b'{"message_id":"cut',
        b'\xff"message_id"\xfe',
        b'{"message_id":"\xff"}',
    ],
)
def test_whatever_else_a_message_is_it_has_no_id(payload: bytes) -> None:
    assert message_id(payload) is None


def test_a_long_id_is_given_whole_so_that_it_can_be_refused() -> None:
    assert message_id(b'{"message_id":"' + b"x" * 100 + b'"}') == "x" * 100
