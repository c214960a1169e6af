from contracts.down import DeviceError, Receipt, decode_error, decode_receipts
from contracts.errors import Code
from ingest.replies import Handles, Replies
from ingest.routes import route

OWN = route(b"agora/v1/sme-a/cuff-1/up/vitals")
OTHER = route(b"agora/v1/sme-a/cuff-2/up/vitals")
NOBODY = route(b"agora/v1/SME/cuff/up/vitals")


def test_receipts_are_joined_by_device() -> None:
    replies = Replies()
    for target, number in ((OWN, 1), (OTHER, 2), (OWN, 3)):
        replies.receipt(target, Handles(target, bytes([number]), None, None))
    sent = {topic: decode_receipts(payload).receipts for topic, payload in replies.publications()}
    assert sent == {
        OWN.receipts: [Receipt("AQ", "correlation"), Receipt("Aw", "correlation")],
        OTHER.receipts: [Receipt("Ag", "correlation")],
    }
    assert replies.receipts() == 3


def test_a_message_with_both_handles_is_receipted_under_both() -> None:
    replies = Replies()
    replies.receipt(OWN, Handles(OWN, b"abc", OWN.receipts, "m-1"))
    ((_, payload),) = replies.publications()
    assert decode_receipts(payload).receipts == [Receipt("YWJj", "correlation"), Receipt("m-1", "message_id")]


def test_a_foreign_response_topic_is_warned_about_and_never_published_on() -> None:
    replies = Replies()
    handles = Handles(OWN, b"abc", b"agora/v1/sme-a/cuff-2/down/commands", None)
    replies.receipt(OWN, handles)
    replies.warning(OWN, handles)
    topics = [topic for topic, _ in replies.publications()]
    assert topics == [OWN.receipts, OWN.errors]
    error = decode_error(replies.publications()[1][1])
    assert (error.code, error.severity, error.correlation) == (Code.RESPONSE_TOPIC_FOREIGN, "warning", "YWJj")


def test_the_same_warning_goes_once_to_a_device_and_frame() -> None:
    replies = Replies()
    for number in range(100):
        replies.warning(OWN, Handles(OWN, bytes([number]), b"elsewhere", None))
    assert replies.codes() == [Code.RESPONSE_TOPIC_FOREIGN]


def test_correlation_of_more_than_64_bytes_gets_a_warning_instead_of_a_receipt() -> None:
    assert Handles(OWN, b"x" * 64, None, None).correlation == b"x" * 64
    handles = Handles(OWN, b"x" * 65, None, None)
    assert handles.correlation is None
    assert handles.warning is not None
    assert handles.warning[0] is Code.CORRELATION_TOO_LONG


def test_an_id_of_more_than_64_characters_gets_a_warning_with_its_field() -> None:
    replies = Replies()
    replies.warning(OWN, Handles(OWN, None, None, "x" * 65))
    error = decode_error(replies.publications()[0][1])
    assert (error.code, error.field, error.message_id) == (Code.CORRELATION_TOO_LONG, "$.message_id", "")


def test_an_error_names_code_stream_and_message() -> None:
    replies = Replies()
    replies.error(OWN, Code.PAYLOAD_TOO_LARGE, "too long", Handles(OWN, b"abc", None, "m-1"))
    assert decode_error(replies.publications()[0][1]) == DeviceError(
        Code.PAYLOAD_TOO_LARGE, "too long", "error", "", "vitals", "YWJj", "m-1"
    )


def test_who_has_no_name_gets_no_answer() -> None:
    replies = Replies()
    handles = Handles(NOBODY, b"abc", b"elsewhere", "m")
    replies.receipt(NOBODY, handles)
    replies.warning(NOBODY, handles)
    assert replies.publications() == []
