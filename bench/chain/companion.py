"""Processes beside the platform that take part in a run: who publishes, the app that reads, the app that searches.

Each is told its part as one line of JSON on its standard input, so that no password is in an argument list; says ``ready``;
begins when it is told to; and says as one line of JSON what it did.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from bench.chain.runs import Lost
from deploy.local.instance import CHECKOUT

STOP_SECONDS = 10.0
LONGEST_LINE = 2**30
"""A report holds the ids of all records that came."""


class Companion:
    """One of them, running.

    Args:
        name: for people.
        process: with pipes for input and output.

    Attributes:
        pid: its process id.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._name = name
        self._sink, self._source = process.stdin, process.stdout
        self.pid = process.pid

    def say(self, line: str) -> None:
        """Tell it to go on."""
        self._sink.write(line.encode() + b"\n")

    async def hear(self) -> str:
        """Wait for the next line it says.

        Raises:
            Lost: it ended without.
        """
        line = await self._source.readline()
        if not line:
            raise Lost(f"the {self._name} ended early; what it said stands above")
        return line.decode().rstrip("\n")

    async def report(self) -> dict[str, Any]:
        """Wait for what it did.

        Raises:
            Lost: it ended without.
        """
        found: dict[str, Any] = json.loads(await self.hear())
        return found


@asynccontextmanager
async def started(name: str, module: str, plan: Mapping[str, Any], env: Mapping[str, str]) -> AsyncIterator[Companion]:
    """Start one and wait until it is ready; it is stopped in the end.

    Args:
        name: for people.
        module: that is run as a program.
        plan: its part.
        env: its environment.

    Raises:
        Lost: it did not get ready.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module,
        cwd=CHECKOUT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=env, limit=LONGEST_LINE,
    )  # fmt: skip
    companion = Companion(name, process)
    try:
        companion.say(json.dumps(plan))
        if await companion.hear() != "ready":
            raise Lost(f"the {name} did not get ready; what it said stands above")
        yield companion
    finally:
        if process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
