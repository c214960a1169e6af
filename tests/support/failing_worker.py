"""A worker of streams with a fault planted in it, which is to end by that fault."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploy.local.instance import CHECKOUT
from deploy.local.stack import Stack
from streams.worker import EXIT_FAILED


@asynccontextmanager
async def failing_worker(stack: Stack, name: str, *module: str, word: str) -> AsyncIterator[None]:
    """Run a module in the worker's place as long as the block lasts and until it has ended; its log must tell why.

    Args:
        stack: with Kafka, and without a worker.
        name: of its log.
        module: with its arguments.
        word: stands in what it tells of its end, so that it was this fault, and not one at its start.
    """
    log = stack.instance.logs / f"{name}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *module),
            env=stack.env("streams"),
            cwd=CHECKOUT,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        yield
        async with asyncio.timeout(60):
            assert await process.wait() == EXIT_FAILED
        assert word in next(line for line in log.read_text().splitlines() if "worker_failed" in line)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
