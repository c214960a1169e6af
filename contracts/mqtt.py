"""The MQTT topic tree: ``agora/v1/<org>/<device>/up/<stream>`` and ``…/down/<what>`` (design section 3)."""

from __future__ import annotations

from typing import NamedTuple

from contracts.errors import Code, Rejected
from contracts.ids import is_name

ROOT = "agora/v1"
UP_FILTER = f"{ROOT}/+/+/up/#"
"""What the bridge subscribes to."""
PRESENCE = f"{ROOT}/bridge/presence"
"""Where the active bridge beats, for one that stands by."""
RECEIPTS = "receipts"
ERRORS = "errors"
COMMANDS = "commands"
CORRELATION_MAX_BYTES = 64


class UpTopic(NamedTuple):
    """The parts of a topic that carries data; organisation and device are the publisher's proven identity."""

    org: str
    device: str
    stream: str


def parse_up(topic: str) -> UpTopic:
    """Take a data topic apart.

    Args:
        topic: as the broker delivered it.

    Returns:
        Organisation, device and stream.

    Raises:
        Rejected: ``topic-malformed`` when it has another shape.
    """
    parts = topic.split("/")
    if len(parts) != 6 or parts[0] != "agora" or parts[1] != "v1" or parts[4] != "up":
        raise Rejected(Code.TOPIC_MALFORMED)
    org, device, stream = parts[2], parts[3], parts[5]
    if not (is_name(org) and is_name(device) and is_name(stream)):
        raise Rejected(Code.TOPIC_MALFORMED)
    return UpTopic(org, device, stream)


def up_topic(org: str, device: str, stream: str = "vitals") -> str:
    """Give the topic on which a device publishes a stream."""
    return f"{ROOT}/{org}/{device}/up/{stream}"


def down_topic(org: str, device: str, what: str) -> str:
    """Give the topic on which the platform tells a device something: receipts, errors or commands."""
    return f"{ROOT}/{org}/{device}/down/{what}"
