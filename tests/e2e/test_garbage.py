"""Garbage through the whole platform, a little of it; `agora chaos --garbage` sends as much as one likes."""

import asyncio

import pytest

from bench.garbage.flow import LEAST_WINDOW
from bench.garbage.report import SPEED
from bench.garbage.run import Garbage, Options
from bench.target import Target
from deploy.local.view import View
from tests.e2e.conftest import quiet

LOOSE_STALL_SECONDS = 10.0


@pytest.mark.timeout(180)
def test_each_message_of_garbage_is_kept_once_with_a_reason_that_fits_and_no_false_row_is_stored(platform: View) -> None:
    run = Garbage(Target.of(platform), Options(messages=2_000, seed=11))
    found = asyncio.run(run.run(run.enrol(quiet), quiet))
    # A second is for a machine of its own; who stands still for ten does so on a busy one too.
    failed = [check for check in found.checks() if not check.passed and check.name != SPEED]
    assert failed == []
    assert len(found.kept.kinds) >= 25
    assert found.canaries.seconds
    assert 0.0 < max(found.canaries.stalls) <= LOOSE_STALL_SECONDS
    report = found.as_dict()
    assert report["machine"]["commit"]
    assert report["window"]["widest"] >= LEAST_WINDOW
