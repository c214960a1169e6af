"""Apps page through readings and patients, while more arrive."""

from __future__ import annotations

import httpx
import pytest

from contracts.instants import HOUR, MINUTE, SECOND
from tests.support.gateway_world import NOON, World, bearer, found, outcome, pages, token_of

PRESSURE = "85354-9"


@pytest.mark.parametrize("count", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("sort", ["date", "-date"])
def test_pages_of_any_size_give_each_observation_once_and_panels_whole(
    world: World, client: httpx.Client, count: int, sort: str
) -> None:
    subject, app = world.subject(), world.app()
    world.consent(subject, app, "8867-4", PRESSURE)
    for device in (world.device(), world.device()):
        for number in range(4):
            at = NOON + (number // 2) * MINUTE  # two measurements at each instant
            world.reading(subject, device, "8867-4", 70.0, at, number)
            for vital, value in (("8480-6", 120.0), ("8462-4", 80.0), ("8478-0", 93.0)):
                world.reading(subject, device, vital, value, at, number)

    got = list(pages(client, bearer(token_of(client, app)), patient=world.pseudonym(app, subject), _count=count, _sort=sort))

    observations = [observation for page in got for observation in page]
    assert all(len(page) == count for page in got[:-1])
    assert len({observation["id"] for observation in observations}) == len(observations) == 16
    panels = [observation for observation in observations if "component" in observation]
    assert [len(panel["component"]) for panel in panels] == [3] * 8
    instants = [observation["effectiveDateTime"] for observation in observations]
    assert instants == sorted(instants, reverse=sort == "-date")


def test_pages_stay_in_step_while_readings_arrive(world: World, client: httpx.Client) -> None:
    subject, app, device = world.subject(), world.app(), world.device()
    world.consent(subject, app, "8867-4")
    for number in range(6):
        world.reading(subject, device, "8867-4", float(number), NOON + number * SECOND)
    following = pages(client, bearer(token_of(client, app)), patient=world.pseudonym(app, subject), _count=2)

    values = []
    for number, page in enumerate(following):
        values += [observation["valueQuantity"]["value"] for observation in page]
        world.reading(subject, device, "8867-4", 100.0 + number, NOON + HOUR + number)

    assert values == [5, 4, 3, 2, 1, 0]


def test_a_cursor_is_good_for_its_app_and_its_search_only(world: World, client: httpx.Client) -> None:
    subject, app, other, device = world.subject(), world.app(), world.app(), world.device()
    for name in (app, other):
        world.consent(subject, name, "8867-4")
    for number in range(3):
        world.reading(subject, device, "8867-4", 70.0, NOON + number)
    headers = bearer(token_of(client, app))
    first = client.get("/fhir/Observation", params={"patient": world.pseudonym(app, subject), "_count": 1}, headers=headers)
    (following,) = [link["url"] for link in first.json()["link"] if link["relation"] == "next"]

    assert client.get(following, headers=headers).status_code == 200
    for answer in (
        client.get(following, headers=bearer(token_of(client, other))),
        client.get(following.replace("_count=1", "_count=2"), headers=headers),
        client.get(following[:-4] + "AAAA", headers=headers),
    ):
        assert (answer.status_code, outcome(answer)) == (400, "invalid")


def test_patients_are_paged_and_found_by_id(world: World, client: httpx.Client) -> None:
    app = world.app()
    subjects = [world.subject() for _ in range(5)]
    for subject in subjects[:4]:
        world.consent(subject, app, "8867-4")
    headers = bearer(token_of(client, app))
    answer = client.get("/fhir/Patient", params={"_count": 3}, headers=headers)
    (following,) = [link["url"] for link in answer.json()["link"] if link["relation"] == "next"]

    everybody = [patient["id"] for page in (answer, client.get(following, headers=headers)) for patient in found(page)]

    assert set(everybody) == {world.pseudonym(app, subject) for subject in subjects[:4]}
    assert len(everybody) == 4
    wanted = ",".join(world.pseudonym(app, subject) for subject in subjects[3:])
    (one,) = found(client.get("/fhir/Patient", params={"_id": wanted}, headers=headers))
    assert one["id"] == world.pseudonym(app, subjects[3])
    assert set(one) == {"resourceType", "id", "meta", "identifier", "active"}
