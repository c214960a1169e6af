"""The database's surrogate keys of devices, subjects, vitals and sites, remembered."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from psycopg import AsyncConnection

from catalogue.registry import VITALS
from contracts.observation import MAX_SITES, Observation
from storage.sites import Name, Sites

FORGET_ABSENT_SECONDS = 30.0
"""For so long a device or subject that was waited for in vain is not waited for again."""


@dataclass
class Missing:
    """Names that a batch needs and whose keys are not known yet."""

    devices: set[tuple[str, str]] = field(default_factory=set)
    subjects: set[str] = field(default_factory=set)
    vitals: set[str] = field(default_factory=set)
    sites: dict[Name, None] = field(default_factory=dict)
    """In the order of their arrival."""

    def __bool__(self) -> bool:
        return bool(self.devices or self.subjects or self.vitals or self.sites)


class Keys:
    """Keys by name. Only ever added to: a key never changes.

    Attributes:
        devices: by (organisation, device).
        subjects: by name.
        vitals: by canonical LOINC code.
        sites: those that all share, and those of each device.
    """

    def __init__(self, sites_per_device: int = MAX_SITES) -> None:
        """Prepare it.

        Args:
            sites_per_device: how many sites of its own a device may name.
        """
        self.devices: dict[tuple[str, str], int] = {}
        self.subjects: dict[str, int] = {}
        self.vitals: dict[str, int] = {}
        self.sites = Sites(sites_per_device)
        self._absent: dict[object, float] = {}

    def missing(self, observations: Iterable[Observation]) -> Missing:
        """Find the names that must be looked up before these observations can be stored."""
        found = Missing()
        for one in observations:
            # What PostgreSQL cannot hold is nobody's name, and to ask for it would fail for all of them.
            if (one.org, one.device) not in self.devices and "\0" not in one.org + one.device:
                found.devices.add((one.org, one.device))
            if one.subject not in self.subjects and "\0" not in one.subject:
                found.subjects.add(one.subject)
            if one.vital not in self.vitals:
                found.vitals.add(one.vital)
            site = one.org, one.device, one.site
            if self.sites.key(*site) is None and self.sites.refusal(*site) is None:
                found.sites[site] = None
        return found

    async def enter_catalogue(self, connection: AsyncConnection) -> None:
        """Write the catalogue's vitals where they are missing or their words have changed; learn their and the sites' keys."""
        entries = [(vital.code, vital.display, vital.unit) for vital in sorted(VITALS, key=lambda vital: vital.code)]
        codes, displays, units = zip(*entries, strict=True)
        await connection.execute(
            "INSERT INTO vitals (code, display, unit)"
            " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]) AS n(code, display, unit)"
            " WHERE NOT EXISTS (SELECT FROM vitals v WHERE (v.code, v.display, v.unit) = (n.code, n.display, n.unit))"
            " ON CONFLICT (code) DO UPDATE SET display = excluded.display, unit = excluded.unit",
            (list(codes), list(displays), list(units)),
        )
        await self._learn_vitals(connection)
        await self.sites.learn_shared(connection)

    async def resolve(self, connection: AsyncConnection, missing: Missing) -> bool:
        """Look names up; a new site is made, as far as its device may have it.

        Args:
            connection: the store's, outside a transaction.
            missing: what to look up.

        Returns:
            False when a device, subject or vital is still unknown and worth waiting for.

        Raises:
            Undone: other stores were in the way; try again.
        """
        if missing.devices:
            orgs, devices = zip(*sorted(missing.devices), strict=True)
            rows = await connection.execute(
                "SELECT d.org, d.name, d.device_key FROM devices d"
                " JOIN unnest(%s::text[], %s::text[]) AS n(org, name) ON (d.org, d.name) = (n.org, n.name)",
                (list(orgs), list(devices)),
            )
            self.devices |= {(org, name): key for org, name, key in await rows.fetchall()}
        if missing.subjects:
            rows = await connection.execute(
                "SELECT name, subject_key FROM subjects WHERE name = ANY(%s)", (sorted(missing.subjects),)
            )
            self.subjects |= dict(await rows.fetchall())
        if missing.vitals:
            await self._learn_vitals(connection)
        if missing.sites:
            await self.sites.resolve(connection, missing.sites, self.devices)
        return not any(self._still_missing(missing))

    def give_up(self, missing: Missing) -> None:
        """Remember what was waited for in vain."""
        until = time.monotonic() + FORGET_ABSENT_SECONDS
        self._absent = {name: end for name, end in self._absent.items() if end > time.monotonic()}
        self._absent |= dict.fromkeys(self._still_missing(missing), until)

    def _still_missing(self, missing: Missing) -> list[object]:
        names: list[tuple[object, bool]] = [
            *((name, name in self.devices) for name in missing.devices),
            *((("subject", name), name in self.subjects) for name in missing.subjects),
            *((("vital", code), code in self.vitals) for code in missing.vitals),
        ]
        now = time.monotonic()
        return [name for name, known in names if not known and self._absent.get(name, 0.0) < now]

    async def _learn_vitals(self, connection: AsyncConnection) -> None:
        rows = await connection.execute("SELECT code, vital_key FROM vitals")
        self.vitals |= dict(await rows.fetchall())
