"""Keys of sites. A site is the device's own word, so each device numbers its own: none can use up what another needs.

See docs/adr/0014-sites-of-a-device.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import count, islice

from psycopg import AsyncConnection

from contracts.errors import Code
from contracts.observation import MAX_SITES, is_site
from storage.database import Undone

ATTEMPTS = 10
Name = tuple[str, str, str]
"""Organisation, device, site."""
Numbers = Mapping[int, Mapping[str, int]]
"""By the key of a device: the numbers of its sites by name."""


class Sites:
    """Keys of sites by name. Only ever added to: a key never changes.

    Attributes:
        shared: those that mean the same for all devices, the empty name first of all; above zero.
        own: by organisation, device and name; below zero, and the device's own.
    """

    def __init__(self, most: int = MAX_SITES) -> None:
        """Prepare it.

        Args:
            most: how many sites of its own a device may name.
        """
        self.shared: dict[str, int] = {}
        self.own: dict[Name, int] = {}
        self._most = most
        self._full: set[tuple[str, str]] = set()

    def key(self, org: str, device: str, site: str) -> int | None:
        """Give the key of a device's site; None where it is not known, or there is none."""
        shared = self.shared.get(site)
        return self.own.get((org, device, site)) if shared is None else shared

    def refusal(self, org: str, device: str, site: str) -> Code | None:
        """Say why a site without a key gets none; None where it is still to be looked up."""
        if not is_site(site):
            return Code.PAYLOAD_INVALID
        return Code.SITES_EXCEEDED if (org, device) in self._full else None

    async def learn_shared(self, connection: AsyncConnection) -> None:
        """Learn what all devices share, to which nothing is added."""
        rows = await connection.execute("SELECT name, site_key FROM sites")
        self.shared = dict(await rows.fetchall())

    async def resolve(self, connection: AsyncConnection, names: Collection[Name], devices: Mapping[tuple[str, str], int]) -> None:
        """Learn keys, and make those of sites that their device names for the first time, as far as it may.

        Args:
            connection: the store's, outside a transaction.
            names: of sites, in the order of their arrival; those of a device that has no key are left for later.
            devices: keys of devices.

        Raises:
            Undone: other stores enter sites of the same devices all the time.
        """
        keyed = [(name, key) for name in names if (key := devices.get(name[:2])) is not None]
        for _ in range(ATTEMPTS):
            fresh = self.take(keyed, await _numbers(connection, sorted({key for _, key in keyed})))
            if not fresh:
                return
            await _enter(connection, fresh)
        raise Undone("other stores name sites of the same devices")

    def take(self, names: Collection[tuple[Name, int]], standing: Numbers) -> list[tuple[int, int, str]]:
        """Learn what is entered, and choose numbers for what is not.

        Args:
            names: each with the key of its device, in the order of their arrival.
            standing: all that is entered for these devices.

        Returns:
            What is to be entered: device, number, site. It is not known yet, since another store may be first.
        """
        fresh: dict[tuple[int, str], int] = {}
        free = {key: self._free(standing.get(key, {}).values()) for _, key in names}
        for name, key in names:
            number = standing.get(key, {}).get(name[2])
            if number is not None:
                self.own[name] = number
            elif (key, name[2]) not in fresh:
                number = next(free[key], None)
                if number is None:
                    self._full.add(name[:2])
                else:
                    fresh[key, name[2]] = number
        return [(key, number, site) for (key, site), number in fresh.items()]

    def _free(self, taken: Collection[int]) -> Iterator[int]:
        """Give the numbers that a device may still use, from -1 downwards."""
        used = set(taken)
        numbers = (number for number in count(-1, -1) if number not in used)
        return islice(numbers, max(0, self._most - len(used)))


async def _numbers(connection: AsyncConnection, devices: Sequence[int]) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = {}
    if devices:
        rows = await connection.execute(
            "SELECT device_key, name, site_key FROM device_sites WHERE device_key = ANY(%s)", (devices,)
        )
        for device, name, number in await rows.fetchall():
            found.setdefault(device, {})[name] = number
    return found


async def _enter(connection: AsyncConnection, fresh: Sequence[tuple[int, int, str]]) -> None:
    # In one order, so that two stores do not wait for each other; what another one was quicker with is learned in the next turn.
    devices, numbers, names = zip(*sorted(fresh), strict=True)
    await connection.execute(
        "INSERT INTO device_sites (device_key, site_key, name) SELECT * FROM unnest(%s::integer[], %s::smallint[], %s::text[])"
        " ON CONFLICT DO NOTHING",
        (list(devices), list(numbers), list(names)),
    )
