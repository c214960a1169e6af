"""The report that is kept belongs to the plan that the present code makes of its seed."""

import json
from typing import Any

import pytest

from bench.chaos.plan import PLAN_VERSION, plan
from bench.chaos.withdrawals import withdrawals
from deploy.local.instance import CHECKOUT

KEPT = CHECKOUT / "bench" / "chaos-200.json"
TODO = "plan or report changed: raise PLAN_VERSION, and make the report anew with the command that stands in it as `again`"


def followed(found: dict[str, Any]) -> bool:
    """Whether a report was made by the present plan; an older one stays readable, and is not compared."""
    return bool(found.get("plan_version") == PLAN_VERSION)


def test_seed_kills_and_seconds_of_the_kept_report_give_its_own_faults_and_withdrawals() -> None:
    found = json.loads(KEPT.read_text())
    if followed(found):
        compare(found)


def test_a_report_that_does_not_belong_to_the_plan_is_told() -> None:
    found = made(3, 20, 130.0)
    compare(found)
    found["faults"][4]["target"] = "nobody"
    with pytest.raises(AssertionError, match="PLAN_VERSION"):
        compare(found)


def made(seed: int, kills: int, seconds: float) -> dict[str, Any]:
    faults = plan(seed, kills, seconds)
    rows = [
        {"number": one.number, "at": one.at, "kind": one.kind, "target": one.target, "lasting": one.seconds, "alone": one.alone}
        for one in faults
    ]
    leaving = [{"number": one.number, "fault": one.fault} for one in withdrawals(seed, faults, seconds)]
    return {"options": {"seed": seed, "kills": kills, "seconds": seconds, "only": []}, "faults": rows, "withdrawals": leaving}


def compare(found: dict[str, Any]) -> None:
    options = found["options"]
    expected = made(options["seed"], options["kills"], options["seconds"])
    names = expected["faults"][0].keys()
    assert [{name: one[name] for name in names} for one in found["faults"]] == expected["faults"], TODO
    leaving = sorted(
        ({"number": one["number"], "fault": one["fault"]} for one in found["withdrawals"]), key=lambda one: one["number"]
    )
    assert leaving == expected["withdrawals"], TODO
