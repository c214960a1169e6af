"""The file of devices that enrolment wrote, and beside it where each device's sequence goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from contracts.errors import Misconfigured
from contracts.registry import Name
from simulators.patients import DeviceCredential

PRIVATE = 0o600


class _Entry(BaseModel):
    """An entry of the file; whatever else enrolment noted is left alone."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)
    org: Name
    device: Name
    model: str
    password: str
    subject: str = ""


_ENTRIES = TypeAdapter(list[_Entry])
_SEQUENCES = TypeAdapter(dict[str, int])


def read_credentials(path: Path) -> list[DeviceCredential]:
    """Read the devices that may be played.

    Args:
        path: JSON, a list of objects with org, device, model, password and subject.

    Returns:
        The devices in the file's order.

    Raises:
        Misconfigured: when the file is missing or has another shape.
    """
    try:
        entries = _ENTRIES.validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise Misconfigured(f"there is no file of devices {path}: enrol devices first, or give --credentials") from error
    except (OSError, ValidationError) as error:
        raise Misconfigured(f"the file of devices {path} cannot be read: {error}") from error
    return [DeviceCredential(**entry.model_dump()) for entry in entries]


def write_credentials(path: Path, devices: Iterable[DeviceCredential]) -> None:
    """Write devices so that ``read_credentials`` finds them, readable by the owner alone.

    Args:
        path: target; replaced as a whole.
        devices: with their passwords.
    """
    entries = [
        {"org": one.org, "device": one.device, "model": one.model, "password": one.password, "subject": one.subject}
        for one in devices
    ]
    _replace(path, json.dumps(entries, indent=1))


def sequences_beside(path: Path) -> Path:
    """Give the file that remembers sequences of the devices in a credentials file."""
    return path.with_name(f"{path.stem}.sequences.json")


def read_sequences(path: Path) -> dict[str, int]:
    """Read where each device's sequence goes on; a real device keeps that in its flash.

    Args:
        path: from ``sequences_beside``.

    Returns:
        For a device's key the number of its next message; empty when there is no file or it is damaged (sequences then
        begin again at 1, as those of a device that was reset).
    """
    try:
        return _SEQUENCES.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return {}


def write_sequences(path: Path, sequences: Mapping[str, int]) -> None:
    """Write where each device's sequence goes on.

    Args:
        path: from ``sequences_beside``; replaced as a whole.
        sequences: for a device's key the number of its next message.
    """
    _replace(path, json.dumps(dict(sequences), indent=1))


def _replace(path: Path, text: str) -> None:
    """Write a private file so that a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "w") as file:
        file.write(text)
    fresh.replace(path)
