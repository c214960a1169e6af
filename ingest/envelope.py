"""The one thing the bridge reads of a message: ``message_id`` at the top level of a JSON object; pure."""

from __future__ import annotations

import msgspec

MAX_CHARACTERS = 64
_MARK = b'"message_id"'


class _Envelope(msgspec.Struct):
    message_id: str | None = None


_decoder = msgspec.json.Decoder(_Envelope)


def message_id(payload: bytes) -> str | None:
    """Find a message's own id.

    A search for the bytes comes first, since most messages that carry none are not worth decoding; the decoder then passes over
    everything but this field, so that an id inside a reading is not taken for the message's.

    Args:
        payload: any bytes.

    Returns:
        The id, of any length, or None when there is none, when it is empty or no text, or when the message is no JSON object:
        what is wrong with it the normaliser will say.
    """
    if _MARK not in payload:
        return None
    try:
        return _decoder.decode(payload).message_id or None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
