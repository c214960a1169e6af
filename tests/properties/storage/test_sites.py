"""Devices name sites, over stores that are in each other's way: each keeps to its own numbers."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Code
from storage.sites import Name, Sites

MOST = 4
DEVICES = {("o", "a"): 1, ("o", "b"): 2}
named = st.tuples(st.sampled_from(sorted(DEVICES)), st.sampled_from("stuvwxyz"))
turns = st.lists(st.tuples(st.integers(0, 1), st.lists(named, max_size=12), st.booleans()), max_size=12)


class Table:
    """The table of the database: what conflicts is left out."""

    def __init__(self) -> None:
        self.numbers: defaultdict[int, dict[str, int]] = defaultdict(dict)

    def enter(self, fresh: list[tuple[int, int, str]]) -> None:
        for device, number, name in fresh:
            if name not in self.numbers[device] and number not in self.numbers[device].values():
                self.numbers[device][name] = number

    def copy(self) -> dict[int, dict[str, int]]:
        return {device: dict(numbers) for device, numbers in self.numbers.items()}


@given(turns)
def test_each_device_fills_only_its_own_numbers_and_every_site_has_one_or_a_reason_to_have_none(
    turns: list[tuple[int, list[tuple[tuple[str, str], str]], bool]],
) -> None:
    table, stores = Table(), (Sites(MOST), Sites(MOST))
    asked: dict[tuple[str, str], set[str]] = defaultdict(set)
    for store, names, crossed in turns:
        keyed: list[tuple[Name, int]] = [((*device, site), DEVICES[device]) for device, site in names]
        before = table.copy()
        if crossed:  # the other store enters the same, the other way round, between this one's look and its insert
            table.enter(stores[1 - store].take(keyed[::-1], before))
        fresh = stores[store].take(keyed, before)
        for _ in range(3):
            table.enter(fresh)
            fresh = stores[store].take(keyed, table.copy())
            if not fresh:
                break
        assert not fresh
        for (org, device, site), number in keyed:
            asked[org, device].add(site)
            key = stores[store].key(org, device, site)
            assert key == table.numbers[number].get(site)
            assert key is not None or stores[store].refusal(org, device, site) is Code.SITES_EXCEEDED
    for who, number in DEVICES.items():
        entered = table.numbers[number]
        assert len(entered) == min(MOST, len(asked[who]))
        assert sorted(entered.values()) == sorted(set(entered.values()))
        assert all(-MOST <= one < 0 for one in entered.values())
