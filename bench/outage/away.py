"""Keeps a server away: killed, and killed again as soon as it is started, until the time is over."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence

from deploy.local.problems import Problem
from deploy.local.view import View

AGAIN_SECONDS = 0.05
BACK_SECONDS = 120.0


async def keep_away(view: View, servers: Sequence[str], seconds: float) -> None:
    """Keep servers away.

    Args:
        view: of the instance.
        servers: names of their processes.
        seconds: for how long; the supervisor's pause before its next attempt comes on top.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for server in servers:
            try:
                view.kill(server, signal.SIGKILL)
            except Problem:
                continue  # it is between its death and its next start
        await asyncio.sleep(AGAIN_SECONDS)


async def come_back(view: View, servers: Sequence[str]) -> float:
    """Wait until servers answer again.

    Returns:
        Seconds it took.

    Raises:
        Problem: one did not.
    """
    begun = time.monotonic()
    for server in servers:
        while not await asyncio.to_thread(view.answers, server):
            if time.monotonic() - begun > BACK_SECONDS:
                raise Problem(f"{server} does not answer {BACK_SECONDS:.0f} s after its outage", f"./agora logs {server}")
            await asyncio.sleep(0.1)
    return time.monotonic() - begun
