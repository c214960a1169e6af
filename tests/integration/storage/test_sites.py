"""Sites in the database: each device has its own, few of them, and cannot use up another's."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from contracts.observation import MAX_SITES
from deploy.local.stack import Stack
from runtime import clock
from storage.writer import Unkeyed
from tests.support.storing import HEART_RATE, Bench, Clinic, Message, Reading, connected, in_turn, new_clinic, one, query

A_MESSAGE = 2_500
"""Readings of which each names another site; they fit into one message."""


def named(clinic: Clinic, device: str) -> list[tuple[int, str]]:
    """Read the sites of a device: number and name."""
    statement = "SELECT site_key, n.name FROM device_sites n JOIN devices d USING (device_key) WHERE (d.org, d.name) = (%s, %s)"
    return sorted((int(key), str(name)) for key, name in query(clinic.owner, statement, clinic.name, device))


async def test_a_device_that_names_33000_sites_leaves_every_other_device_its_first(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "loud", "quiet"), Bench(stack)
    now = clock.now()
    sites = [f"{clinic.name[-9:]}-{number}" for number in range(33_000)]
    async with bench.writer() as writer:
        for first in range(0, len(sites), A_MESSAGE):
            flood = [Reading(70, now, first, site=site) for site in sites[first : first + A_MESSAGE]]
            await writer.write(bench.frame(clinic, Message("loud", flood)))
        await writer.write(bench.frame(clinic, one(71, now, "quiet", site="left-thumb"), one(72, now, "loud", site=sites[0])))
        await writer.write(bench.frame(clinic, one(73, now, "loud", site="left-thumb")))
    assert [row for row in clinic.rows() if row[0] == "quiet"] == [("quiet", HEART_RATE, "left-thumb", 0, 71.0)]
    assert named(clinic, "quiet") == [(-1, "left-thumb")]
    assert sorted(key for key, _ in named(clinic, "loud")) == list(range(-MAX_SITES, 0))
    assert (clinic.counts()["readings_stored"], clinic.counts()["readings_quarantined"]) == (
        MAX_SITES + 1,
        len(sites) - MAX_SITES + 2,  # the first site with another value is a conflict
    )
    codes = "SELECT code, device, count(*) FROM quarantine WHERE org = %s GROUP BY 1, 2 ORDER BY 1"
    assert query(clinic.owner, codes, clinic.name) == [("conflict", "loud", 1), ("sites-exceeded", "loud", 32_745)]


async def test_a_site_that_all_devices_shared_keeps_its_key_and_no_name_is_added_to_those(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a", "b"), Bench(stack)
    with connected(clinic.owner) as owner:
        owner.execute("INSERT INTO sites (name) VALUES (%s)", (f"old-{clinic.name}",))
    before = query(clinic.owner, "SELECT count(*) FROM sites")
    messages = [one(70, clock.now(), device, site=site) for device in "ab" for site in (f"old-{clinic.name}", "new")]
    async with bench.writer() as writer:
        await writer.write(bench.frame(clinic, *messages))
    assert [row[2] for row in clinic.rows()] == ["new", f"old-{clinic.name}"] * 2
    assert [named(clinic, device) for device in "ab"] == [[(-1, "new")]] * 2
    assert query(clinic.owner, "SELECT count(*) FROM sites") == before


async def test_a_site_means_the_same_to_the_next_store(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    again = [one(70, clock.now(), site=site) for site in ("wrist", "ankle")]
    for messages in (again, again[::-1]):
        async with bench.writer() as writer:
            await writer.write(bench.frame(clinic, *messages))
    assert clinic.count() == 2
    assert clinic.counts()["duplicate_store"] == 2


async def test_stores_that_name_the_same_sites_at_the_same_time_agree(stack: Stack) -> None:
    devices = [f"d{number}" for number in range(20)]
    clinic = new_clinic(stack, *devices)
    there, back = Bench(stack), Bench(stack)
    base = clock.now()
    async with there.writer() as first, back.writer() as second:
        for turn in range(5):
            names = [(device, f"s{turn}-{number}") for device in devices for number in range(20)]
            messages = [one(70, base, device, site=site) for device, site in names]
            await asyncio.gather(
                first.write(there.frame(clinic, *messages)), second.write(back.frame(clinic, *reversed(messages)))
            )
    assert clinic.count() == 20 * 20 * 5
    assert clinic.counts()["duplicate_store"] == 20 * 20 * 5
    assert [len(named(clinic, device)) for device in devices] == [100] * 20


@contextmanager
def refusing(clinic: Clinic, site: str) -> Iterator[None]:
    """Have the database refuse a site, as a column would that is too narrow."""
    with connected(clinic.owner) as owner:
        owner.execute(f"ALTER TABLE device_sites ADD CONSTRAINT refusing CHECK (name <> '{site}')")
    try:
        yield
    finally:
        with connected(clinic.owner) as owner:
            owner.execute("ALTER TABLE device_sites DROP CONSTRAINT refusing")


async def test_a_site_that_the_database_refuses_stops_the_store_and_no_reading_is_called_invalid(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a", "b"), Bench(stack)
    now = clock.now()
    records = in_turn(bench.frame(clinic, one(70, now)), bench.frame(clinic, one(71, now, "b", site="refused")))
    with refusing(clinic, "refused"):
        async with bench.writer() as writer:
            with pytest.raises(Unkeyed):
                await writer.write(records)
    assert (clinic.count(), clinic.quarantine()) == (0, [])
    async with bench.writer() as writer:
        await writer.write(records)
    assert [row[4] for row in clinic.rows()] == [70.0, 71.0]
    assert clinic.quarantine() == []
