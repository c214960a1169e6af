"""Whatever comes, and when: over any time nobody gets more than burst and rate, and who keeps to the rate gets everything."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.allowance import ROUNDING_SECONDS, Allowances

SLACK = 2 * ROUNDING_SECONDS
COMINGS = st.lists(st.tuples(st.floats(0, 10), st.integers(1, 5)), max_size=60)


@given(rate=st.floats(0.1, 1000), burst=st.integers(5, 100), comings=COMINGS)
def test_over_any_span_no_more_is_given_than_burst_and_rate_allow(
    rate: float, burst: int, comings: list[tuple[float, int]]
) -> None:
    allowances, now, taken = Allowances(rate, burst), 0.0, []
    for pause, amount in comings:
        now += pause
        if allowances.take("one", amount, now) == 0:
            taken.append((now, amount))
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            given_out = sum(amount for _, amount in taken[first : last + 1])
            assert given_out <= burst + rate * (taken[last][0] - taken[first][0]) + SLACK * (rate + given_out)


@given(rate=st.floats(0.1, 1000), burst=st.integers(5, 100), comings=COMINGS)
def test_who_waits_as_long_as_told_is_given_it(rate: float, burst: int, comings: list[tuple[float, int]]) -> None:
    allowances, now = Allowances(rate, burst), 0.0
    for pause, amount in comings:
        now += pause
        wait = allowances.take("one", amount, now)
        if wait:
            now += wait
            assert allowances.take("one", amount, now) == 0


def test_the_buckets_kept_are_bounded_and_full_ones_go_first() -> None:
    allowances = Allowances(rate=1, burst=10, remembered=50)
    allowances.take("busy", 10, 95)
    for number in range(200):
        allowances.take(f"calm-{number}", 1, number / 2)
        assert len(allowances) <= 51
    assert allowances.take("busy", 10, 99.0) > 0
