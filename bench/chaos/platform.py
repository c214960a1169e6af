"""The platform of the chaos run: servers, two of each process of ours where two may be, and proxies between them."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from bench.chaos.plan import PROCESSES
from bench.chaos.wiring import Wiring, advertise
from contracts.errors import Misconfigured
from deploy.local.child import Identity
from deploy.local.instance import PROCESSES as KINDS
from deploy.local.instance import SERVERS, Instance
from deploy.local.problems import Problem
from deploy.local.servers import REQUIRED
from deploy.local.stack import Stack

T = TypeVar("T")
Tell = Callable[[str], None]
TEND_SECONDS = 0.1
START_SECONDS = 60.0
SECOND_METRICS = {"streams-2": 71, "store-2": 72, "router-2": 73, "keeper-2": 74, "bridge-2": 75}
"""Ports, counted from the instance's base."""


class Platform:
    """Runs everything. The stack lives in a thread of its own, as it must; nothing here waits for it on the event loop."""

    def __init__(self, instance: Instance, tell: Tell) -> None:
        """Prepare it.

        Args:
            instance: of the run's own; all that an earlier run left in it is removed.
            tell: told each step.

        Raises:
            Misconfigured: servers that exist already were named, which are not to be disturbed.
        """
        named = [address for address, *_ in REQUIRED.values() if os.environ.get(address)]
        if named:
            raise Misconfigured(f"{', '.join(named)} is set: chaos disturbs servers of its own only, so unset it")
        self.instance = instance
        self.stack = Stack(instance, progress=tell)
        self.restarts: dict[str, int] = {}
        self._further: Mapping[str, Mapping[str, str]] = {}
        self._tell = tell
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stack")
        self.wiring = Wiring(instance)
        self.link = self.wiring.link
        self._tending: asyncio.Task[None] | None = None

    async def start(self, further: Mapping[str, Mapping[str, str]]) -> None:
        """Start servers and processes, and wait until all answer.

        Args:
            further: settings over their own, by process.
        """
        self._further = further
        for proxy in self.wiring.proxies:
            await proxy.start()
        await self.do(self._start_servers)
        for name in self.processes():
            await self.start_process(name)
        self._tending = asyncio.create_task(self._tend())
        for name in self.processes():
            self._tell(f"{name}: waiting for its metrics")
            if not await self.wait_answer(name, START_SECONDS):
                raise Problem(f"{name} did not come up", f"see {self.instance.logs / name}.log")

    def _start_servers(self) -> None:
        shutil.rmtree(self.instance.folder, ignore_errors=True)
        self.stack.start_servers()
        self._tell("kafka: again, with the proxy as its address")
        advertise(self.instance.config / "kafka" / "server.properties", self.instance.ports)
        self.stack.stop_process("kafka", 30.0)
        self.stack.start_server("kafka")

    async def start_process(self, name: str) -> None:
        """Start one of our own processes, or its second."""
        await self.do(self._start_process, name)

    def _start_process(self, name: str) -> None:
        kind = name.removesuffix("-2")
        settings = self.wiring.settings(name)
        if name in SECOND_METRICS:
            settings["AGORA_METRICS_PORT"] = str(self.instance.ports.base + SECOND_METRICS[name])
        if name == "streams-2":
            settings["AGORA_STREAMS_DATA_FOLDER"] = str(self.instance.data / "streams-2")
        if name == "bridge-2":
            settings["AGORA_INGEST_STANDBY"] = "true"
        settings |= self._further.get(name, {})
        self.stack.start_process(kind, settings, alias=name if name != kind else None)

    @staticmethod
    def processes() -> list[str]:
        """Name our own processes, with the second ones."""
        return [name for part in KINDS for name in PROCESSES[part]]

    async def stop(self) -> None:
        """Stop everything."""
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        await self.do(self.stack.stop)
        for proxy in self.wiring.proxies:
            await proxy.stop()
        self._thread.shutdown()

    async def do(self, call: Callable[..., T], *arguments: object) -> T:
        """Call something in the stack's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    async def _tend(self) -> None:
        """Start again what dies, as the supervisor does."""
        while True:
            await self.do(self.stack.tend)
            self.restarts = {
                name: entry.restarts for name, entry in (await asyncio.to_thread(self.stack.state)).processes.items()
            }
            await asyncio.sleep(TEND_SECONDS)

    async def identity(self, name: str) -> Identity | None:
        """Tell which process has a name now; None between its death and its next start."""
        entry = (await asyncio.to_thread(self.stack.state)).processes.get(name)
        return entry.identity if entry is not None and entry.alive else None

    async def signal(self, name: str, number: signal.Signals) -> Identity | None:
        """Send a process a signal, PostgreSQL with all its processes where it is frozen or woken.

        Returns:
            Which process it was, or None where it does not run just now and got nothing.
        """
        identity = await self.identity(name)
        if identity is None:
            return None
        family = _children(identity.pid) if name == "postgres" and number in (signal.SIGSTOP, signal.SIGCONT) else []
        reached = [one.signal(number) for one in (identity, *family)]
        return identity if reached[0] else None

    async def wait_gone(self, identity: Identity, seconds: float) -> bool:
        """Wait until a process has ended; False when it has not by then."""
        for _ in range(round(seconds / TEND_SECONDS)):
            if not identity.alive:
                return True
            await asyncio.sleep(TEND_SECONDS)
        return False

    async def wait_answer(self, name: str, seconds: float) -> bool:
        """Wait until a process or server does its work again; False when it does not by then."""
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            if await asyncio.to_thread(self.answers, name):
                return True
            await asyncio.sleep(TEND_SECONDS)
        return False

    def answers(self, name: str) -> bool:
        """Ask a server or process of ours."""
        if name in SERVERS:
            try:
                return self.stack.answers(name)
            except Problem:
                return False
        return self.metrics(name) is not None

    def metrics(self, name: str) -> str | None:
        """Give what a process of ours tells about itself; None when it does not answer."""
        ports = self.instance.ports
        port = ports.base + SECOND_METRICS[name] if name in SECOND_METRICS else ports.metrics(name)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=1) as answer:
                return str(answer.read().decode())
        except OSError:
            return None


def _children(pid: int) -> list[Identity]:
    """Find a process's children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and (identity := Identity.of(int(stat.parent.name))) is not None:
            found.append(identity)
    return found
