"""How often one may ask, and how often it is written down."""

from sharing.gateway.throttle import LOG_SECONDS, RequestLimit


def test_who_used_up_the_burst_waits_for_the_next_and_others_do_not() -> None:
    limit = RequestLimit(per_second=2, burst=3)
    assert [limit.wait_seconds("app", 10.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert limit.wait_seconds("other", 10.0) == 0
    assert limit.wait_seconds("app", 10.5) == 0
    assert limit.wait_seconds("app", 10.5) == 0.5


def test_a_flood_of_refusals_is_on_record_once_a_minute() -> None:
    limit = RequestLimit(per_second=2, burst=3)
    assert [limit.to_be_written("app", tenth / 10) for tenth in range(100)].count(True) == 1
    assert limit.to_be_written("other", 5.0)
    assert limit.to_be_written("app", LOG_SECONDS)
