"""What devices are told about the messages of one frame: receipts and errors, joined by device; pure."""

from __future__ import annotations

from contracts import down
from contracts.down import DeviceError, Receipt, Receipts
from contracts.errors import EXPLANATIONS, Code
from contracts.mqtt import CORRELATION_MAX_BYTES
from ingest.envelope import MAX_CHARACTERS
from ingest.routes import Route

BY_CORRELATION = "correlation"
BY_MESSAGE_ID = "message_id"


class Handles:
    """By what a device will recognise the answer to one message.

    Attributes:
        correlation: correlation data of at most 64 bytes, or None.
        message_id: the envelope's id of at most 64 characters, or None.
        warning: the first thing that was wrong with what the device asked for, or None.
    """

    __slots__ = ("correlation", "message_id", "warning")

    def __init__(self, route: Route, correlation: bytes | None, response: bytes | None, message_id: str | None) -> None:
        """Judge what a message says about its answer.

        Args:
            route: of the message's topic.
            correlation: correlation data of any length.
            response: the response topic it names; nobody is ever answered anywhere but on the device's own topic.
            message_id: id of any length.
        """
        self.warning: tuple[Code, str, str] | None = None
        if message_id is not None and len(message_id) > MAX_CHARACTERS:
            words = f"message_id is longer than {MAX_CHARACTERS} characters; no receipt was sent for it."
            self.warning = Code.CORRELATION_TOO_LONG, words, "$.message_id"
            message_id = None
        if correlation is not None and len(correlation) > CORRELATION_MAX_BYTES:
            self.warning = Code.CORRELATION_TOO_LONG, _words(Code.CORRELATION_TOO_LONG), ""
            correlation = None
        if response is not None and response != route.receipts:
            self.warning = Code.RESPONSE_TOPIC_FOREIGN, _words(Code.RESPONSE_TOPIC_FOREIGN), ""
        self.correlation = correlation
        self.message_id = message_id


def _words(code: Code) -> str:
    said, remedy = EXPLANATIONS[code]
    return f"{said} {remedy}"


class Replies:
    """The answers that become due when a frame is durable."""

    __slots__ = ("_errors", "_receipts")

    def __init__(self) -> None:
        self._receipts: dict[bytes, list[Receipt]] = {}
        self._errors: dict[tuple[bytes, Code], DeviceError] = {}

    def receipt(self, route: Route, handles: Handles) -> None:
        """Add the receipt of a message, one for each handle it carries."""
        if not route.receipts:
            return
        if handles.correlation is not None:
            receipt = Receipt(down.correlation_text(handles.correlation), BY_CORRELATION)
            self._receipts.setdefault(route.receipts, []).append(receipt)
        if handles.message_id is not None:
            self._receipts.setdefault(route.receipts, []).append(Receipt(handles.message_id, BY_MESSAGE_ID))

    def warning(self, route: Route, handles: Handles) -> None:
        """Add the warning of a message that went through, where it has one; the same one once per device and frame."""
        if handles.warning is not None:
            code, words, field = handles.warning
            self._add(route, code, words, "warning", handles, field)

    def error(self, route: Route, code: Code, words: str, handles: Handles, retry_after: int = 0) -> None:
        """Add the error of a message that was refused, and how many seconds its device is to rest."""
        self._add(route, code, words, "error", handles, retry_after=retry_after)

    def _add(
        self, route: Route, code: Code, words: str, severity: str, handles: Handles, field: str = "", retry_after: int = 0
    ) -> None:
        if not route.errors:
            return
        correlation = "" if handles.correlation is None else down.correlation_text(handles.correlation)
        error = DeviceError(code, words, severity, field, route.stream, correlation, handles.message_id or "", retry_after)
        self._errors.setdefault((route.errors, code), error)

    def receipts(self) -> int:
        """Count the receipts."""
        return sum(len(receipts) for receipts in self._receipts.values())

    def codes(self) -> list[Code]:
        """List the codes of the errors and warnings."""
        return [code for _, code in self._errors]

    def publications(self) -> list[tuple[bytes, bytes]]:
        """Write them down.

        Returns:
            MQTT topic and payload each, receipts joined by device.
        """
        made = [(topic, down.encode(Receipts(receipts))) for topic, receipts in self._receipts.items()]
        return made + [(topic, down.encode(error)) for (topic, _), error in self._errors.items()]
