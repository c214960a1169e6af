"""kcat as the lines to paste call it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path

import confluent_kafka

LOGS_IN_FROM = (2, 6, 1)
"""Before, librdkafka sent its nonce twice in SCRAM's last message (its change 4895), which Kafka 4 refuses (RFC 5802, 5.1)."""


@cache
def command() -> str:
    """Give the beginning of a line that runs kcat, such that it can log in.

    Returns:
        ``kcat``; with the librdkafka of Agora's environment in place of its own where that is too old, as Debian 12's is.
    """
    program = shutil.which("kcat")
    if program is None:
        return "kcat"
    said = subprocess.run([program, "-V"], capture_output=True, text=True, check=False).stdout
    if logs_in(said):
        return "kcat"
    libraries = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    library = next(libraries.glob("librdkafka-*.so*"), None)
    return in_place_of_its_own(library) if library else "kcat"


def in_place_of_its_own(library: Path) -> str:
    """Give the line that runs kcat on another librdkafka; its folder apart, since ``LD_PRELOAD`` is split at blanks (ld.so(8)).

    Args:
        library: the file.
    """
    return f"LD_LIBRARY_PATH={shlex.quote(str(library.parent))} LD_PRELOAD={shlex.quote(library.name)} kcat"


def logs_in(said: str) -> bool:
    """Tell from ``kcat -V`` whether it can log in to Kafka by SCRAM; where no version is found, it is taken to."""
    version = re.search(r"librdkafka (\d+)\.(\d+)\.(\d+)", said)
    return version is None or tuple(int(part) for part in version.groups()) >= LOGS_IN_FROM
