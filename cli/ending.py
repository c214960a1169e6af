"""How commands end that start a platform of their own."""

from __future__ import annotations

import signal


def terminate_as_interrupt() -> None:
    """Let SIGTERM end this command as Ctrl-C does, so that it stops and removes what it started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
