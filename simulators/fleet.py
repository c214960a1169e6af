"""Hundreds of simulated devices in one process. This is what the demo, the tests and ``agora simulate`` call."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from simulators.connection import BrokerAddress
from simulators.counts import Counts, Sent
from simulators.device import TICK_SECONDS, Device, DeviceOptions, now
from simulators.messages import DueMessage
from simulators.misbehaviour import WELL_BEHAVED, Identity, Misbehaviour, steps
from simulators.outbox import RESEND_SECONDS
from simulators.patients import DeviceCredential

_POLL_SECONDS = 0.05
_NOTHING: Mapping[str, int] = {}


class Fleet:
    """Devices that publish what their sources say.

    Args:
        devices: those with a source connect, each with its own credential; the others stay silent.
        sources: for a device's key (``<org>/<device>``), its messages in the order of ``due``; may be endless.
        broker: where to publish.
        misbehaviour: of all devices, or of those whose key is listed (the others behave).
        legacy: keys of devices that speak MQTT 3.1.1 and send a ``message_id`` instead of correlation data.
        first_sequences: for a device's key, the number of its first message; 1 where none is given. To go on where an
            earlier fleet ended, give its ``next_sequences()``.
        outbox_capacity: letters a device keeps without an answer, at least 1.
        resend_seconds: wait before a letter without a receipt is sent again, above 0.
        sparing: devices send again only what must be lost, else whatever has waited so long.
        remember: keep ``sent()`` and ``receipted()``; turn off for runs of many hours.
    """

    def __init__(
        self,
        devices: Sequence[DeviceCredential],
        sources: Mapping[str, Iterable[DueMessage]],
        broker: BrokerAddress,
        misbehaviour: Misbehaviour | Mapping[str, Misbehaviour] = WELL_BEHAVED,
        *,
        legacy: Collection[str] = frozenset(),
        first_sequences: Mapping[str, int] = _NOTHING,
        outbox_capacity: int = 500,
        resend_seconds: float = RESEND_SECONDS,
        sparing: bool = True,
        remember: bool = True,
    ) -> None:
        self._broker = broker
        self._roles = [(one, sources[one.key]) for one in devices if one.key in sources]
        self._misbehaviour = misbehaviour
        self._legacy = frozenset(legacy)
        self._first_sequences = first_sequences
        self._outbox_capacity = outbox_capacity
        self._resend_seconds = resend_seconds
        self._sparing = sparing
        self._remember = remember
        self._devices: list[Device] = []
        self._feeding: list[asyncio.Task[None]] = []
        self._serving: list[asyncio.Task[None]] = []

    def _behaviour_of(self, key: str) -> Misbehaviour:
        if isinstance(self._misbehaviour, Misbehaviour):
            return self._misbehaviour
        return self._misbehaviour.get(key, WELL_BEHAVED)

    def _make_device(self, credential: DeviceCredential, messages: Iterable[DueMessage], options: DeviceOptions) -> Device:
        key = credential.key
        identity = Identity(
            key=key,
            run=secrets.token_bytes(8),
            first_sequence=self._first_sequences.get(key, 1),
            message_ids=key in self._legacy,
            start=now(),
        )
        plan = steps(messages, identity, self._behaviour_of(key))
        return Device(credential, plan, options, mqtt5=key not in self._legacy)

    async def start(self) -> None:
        """Begin connecting and publishing; does not wait for either.

        Raises:
            OSError: when the certificate authority cannot be read.
        """
        options = DeviceOptions(
            address=self._broker,
            tls=self._broker.tls(),
            outbox_capacity=self._outbox_capacity,
            resend_seconds=self._resend_seconds,
            sparing=self._sparing,
            remember=self._remember,
        )
        self._devices = [self._make_device(credential, messages, options) for credential, messages in self._roles]
        self._feeding = [asyncio.create_task(one.work()) for one in self._devices]
        self._serving = [asyncio.create_task(one.stay_connected()) for one in self._devices]
        self._serving.append(asyncio.create_task(self._tick()))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for device in self._devices:
                device.tick()

    async def finished(self) -> None:
        """Wait until every source is at its end and everything is written.

        Raises:
            Exception: what a source or a device's task failed with.
        """
        await asyncio.gather(*self._feeding)

    async def drain(self, seconds: float) -> bool:
        """Wait for the answers that are still out.

        Args:
            seconds: at most, from 0.

        Returns:
            Whether all came.
        """
        deadline = time.monotonic() + seconds
        while any(device.outstanding for device in self._devices):
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    async def stop(self, drain_seconds: float = 10.0) -> bool:
        """Stop making messages, wait for the receipts that are out, then disconnect. Harmless when called twice.

        Args:
            drain_seconds: longest wait for receipts.

        Returns:
            Whether every letter was answered.

        Raises:
            Exception: what a device's task failed with while the fleet ran.
        """
        await _end(self._feeding)
        everything = await self.drain(drain_seconds)
        await _end(self._serving)
        return everything

    def snapshot(self) -> Counts:
        """Give the counters of all devices together."""
        return sum((device.counts for device in self._devices), Counts())

    def snapshot_by_device(self) -> dict[str, Counts]:
        """Give the counters of each device, by its key."""
        return {device.credential.key: device.counts for device in self._devices}

    def receipted(self) -> dict[str, frozenset[str]]:
        """Give for each device's key the correlations that got a receipt, as receipts write them."""
        return {device.credential.key: device.receipted for device in self._devices}

    def sent_again(self) -> dict[str, dict[str, int]]:
        """Give for each device's key the correlations of what was sent more than once for want of an answer.

        Each with the highest number that had been sent for the first time when it was sent last.
        """
        return {device.credential.key: device.sent_again for device in self._devices}

    def outstanding(self) -> dict[str, frozenset[str]]:
        """Give for each device's key the correlations that wait for an answer."""
        return {device.credential.key: device.outstanding for device in self._devices}

    def sent(self) -> dict[str, dict[str, Sent]]:
        """Give for each device's key every letter it wrote, by correlation."""
        return {device.credential.key: device.sent for device in self._devices}

    def next_sequences(self) -> dict[str, int]:
        """Give for each device's key where its sequence goes on."""
        found = dict(self._first_sequences)
        for device in self._devices:
            if device.next_sequence is not None:
                found[device.credential.key] = device.next_sequence
        return found


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for them; what one failed with before is raised."""
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    tasks.clear()
    for result in results:
        if isinstance(result, Exception):
            raise result
