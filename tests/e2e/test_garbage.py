"""Garbage through the whole platform, a little of it; `agora chaos --garbage` sends as much as one likes."""

import asyncio

import pytest

from bench.garbage.report import SPEED
from bench.garbage.run import Garbage, Options
from bench.target import Target
from deploy.local.view import View
from tests.e2e.conftest import quiet


@pytest.mark.timeout(180)
def test_each_message_of_garbage_is_kept_once_with_a_reason_that_fits_and_no_false_row_is_stored(platform: View) -> None:
    run = Garbage(Target.of(platform), Options(messages=2_000, seed=11))
    found = asyncio.run(run.run(run.enrol(quiet), quiet))
    # How quick it all is says on a busy machine nothing of the platform.
    failed = [check for check in found.checks() if not check.passed and check.name != SPEED]
    assert failed == []
    assert len(found.kept.kinds) >= 25
    assert found.canaries.seconds
