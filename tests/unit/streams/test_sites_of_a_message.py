"""A message names places and methods of measuring, and of these there are not many."""

import pytest

from contracts.errors import Code
from contracts.instants import to_text
from contracts.observation import MAX_SITES
from tests.unit.streams.test_normalise import NOW, heart, observed, raw, refused, run


def readings(*sites: str) -> dict[str, object]:
    """Make the body of a message, with a reading of each site in turn; none where it is empty."""
    return {"readings": [heart(sequence=number) | ({"site": site} if site else {}) for number, site in enumerate(sites)]}


@pytest.mark.parametrize(
    "sites",
    [
        [f"s{number}" for number in range(MAX_SITES)],
        ["", *(f"s{number}" for number in range(MAX_SITES))],
        ["left", "right"] * MAX_SITES,
        ["", "left"] * MAX_SITES,
    ],
)
def test_as_many_sites_as_a_device_may_have_are_taken_however_they_are_mixed(sites: list[str]) -> None:
    assert [one.site for one in observed(run(raw(readings(*sites))))] == sites


def test_a_message_of_more_sites_is_refused_whole_with_the_place_and_its_device_is_told() -> None:
    sites = ["left", "right"] * MAX_SITES + [f"s{number}" for number in range(MAX_SITES + 1)]
    result = run(raw(readings(*sites)), raw(heart()))
    assert len(observed(result)) == 1
    [kept] = result.quarantined
    assert (kept.code, kept.field) == (Code.SITES_EXCEEDED, f"$.readings[{2 * MAX_SITES + MAX_SITES - 2}].site")
    assert [told.payload.code for told in result.down] == [Code.SITES_EXCEEDED]


def test_the_place_of_a_panels_site_is_the_panel() -> None:
    parts = [{"code": code, "value": 100, "unit": "mm[Hg]"} for code in ("8480-6", "8462-4")]
    panels = [
        {"time": to_text(NOW), "code": "85354-9", "components": parts, "site": f"s{number}"} for number in range(MAX_SITES + 1)
    ]
    assert refused(run(raw({"readings": panels}))) == (Code.SITES_EXCEEDED, f"$.readings[{MAX_SITES}].site")
