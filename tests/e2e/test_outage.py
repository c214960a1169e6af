"""Kafka and the database away for a few seconds under load; `agora outage` keeps them away for as long as one likes."""

import asyncio

import pytest

from bench.outage.options import FLOOD, OVERLOAD, Options
from bench.outage.report import CATCH_UP, OFFERED, RECEIPTS
from bench.outage.run import Outage
from bench.target import Target
from deploy.local.view import View
from tests.e2e.conftest import quiet

BUSY_SECONDS = 60.0
"""How fast something is says on a busy machine little of the platform; so slow it is not even there."""


def outage(platform: View, options: Options) -> Outage:
    return Outage(Target.of(platform), options)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("away", "told_by"), [("both", "bridge"), ("database", "store")])
def test_with_servers_away_nothing_is_lost_memory_is_bounded_and_the_delay_is_shown(
    platform: View, away: str, told_by: str
) -> None:
    run = outage(platform, Options(away, seconds=4.0, rate=60.0, devices=3, careless=3))
    found = asyncio.run(run.run(run.enrol(quiet), quiet))
    assert [check for check in found.checks() if not check.passed and check.name != CATCH_UP] == []
    assert found.compared.careless_lost == 0, "so few fit into the broker's queue"
    assert found.course.late[told_by] >= 2.0
    assert found.course.caught_up <= BUSY_SECONDS


@pytest.mark.timeout(240)
def test_more_than_fits_only_delays_receipts_until_devices_hold_back(platform: View) -> None:
    run = outage(platform, Options(OVERLOAD, seconds=3.0, rate=20_000.0, devices=2, careless=1))
    found = asyncio.run(run.run(run.enrol(quiet), quiet))
    assert [check for check in found.checks() if not check.passed and check.name != OFFERED] == []
    assert found.course.offered > 0
    assert found.compared.careful_lost == 0
    assert found.compared.careless_lost > 0, "a device without receipts loses what is beyond its quota, and it stands in a count"


@pytest.mark.timeout(240)
def test_a_device_that_floods_is_refused_beyond_its_quota_and_no_other_notices(platform: View) -> None:
    run = outage(platform, Options(FLOOD, seconds=6.0, rate=100.0, devices=3, careless=2))
    found = asyncio.run(run.run(run.enrol(quiet), quiet))
    assert [check for check in found.checks() if not check.passed and check.name != RECEIPTS] == []
    assert found.compared.receipt_p99 <= BUSY_SECONDS
    assert found.course.refused > 0
