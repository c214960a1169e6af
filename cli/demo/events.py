"""What is done to the platform on the way: each process is killed once, a consent is withdrawn, an alert acknowledged."""

from __future__ import annotations

import asyncio
import signal
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from psycopg import Connection

from cli.demo.people import BY, Cast
from deploy.local.view import View
from sharing import consents

RESTART_SECONDS = 30.0
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Kill:
    """A process that was killed.

    Attributes:
        process: which.
        at: seconds into the demo.
        recovered_after: seconds until its restarted successor told its metrics.
    """

    process: str
    at: float
    recovered_after: float


async def kill(view: View, process: str, at: float, tell: Tell) -> Kill:
    """Kill a process as the out-of-memory killer would, and wait until the supervisor has it back.

    Args:
        view: of the instance.
        process: which.
        at: seconds into the demo.
        tell: told in words.

    Returns:
        What was measured.

    Raises:
        Problem: it did not come back.
    """
    tell(f"SIGKILL to {process}")
    begun = time.monotonic()
    before = view.kill(process, signal.SIGKILL)
    await asyncio.to_thread(view.wait_restarted, process, before, RESTART_SECONDS)
    while not await asyncio.to_thread(view.answers, process):  # noqa: ASYNC110 - another process tells no event
        await asyncio.sleep(0.2)
    taken = time.monotonic() - begun
    tell(f"{process} is back after {taken:.1f} s")
    return Kill(process, round(at, 1), round(taken, 2))


def withdraw(connection: Connection[Any], cast: Cast, tell: Tell) -> str:
    """Withdraw the consent of the patient who changes her mind.

    Args:
        connection: operator's.
        cast: everybody.
        tell: told in words.

    Returns:
        The consent's id, empty where nobody has that role.
    """
    role = next((role for role in cast.roles if role.withdraws_from), None)
    if role is None:
        return ""
    consent = cast.consents[role.subject, role.withdraws_from]
    consents.withdraw(connection, consent, BY)
    tell(f"{role.subject} withdraws the consent to {role.withdraws_from}")
    return consent


async def acknowledge(connection: Connection[Any], gateway: str, token: str, ca_file: str, tell: Tell) -> str:
    """Acknowledge one open alert through the operator's API.

    Args:
        connection: operator's, to find the alert.
        gateway: base URL.
        token: operator's.
        ca_file: authority of the gateway's certificate.
        tell: told in words.

    Returns:
        The alert's id; empty while there is none, or where the gateway did not answer.
    """
    row = connection.execute("SELECT alert, rule FROM alerts WHERE state = 'raised' ORDER BY changed_at DESC LIMIT 1").fetchone()
    if row is None:
        return ""
    tls = ssl.create_default_context(cafile=ca_file)
    try:
        async with httpx.AsyncClient(verify=tls, timeout=10) as client:
            answer = await client.post(
                f"{gateway}/api/v1/alerts/{row[0]}/acknowledge",
                headers={"Authorization": f"Bearer {token}"},
                json={"by": "demo nurse"},
            )
    except httpx.HTTPError:
        return ""
    if answer.is_error:
        tell(f"the gateway did not take the acknowledgement: {answer.status_code}")
        return ""
    tell(f"a nurse acknowledges an alert of {row[1]}")
    return str(row[0])
