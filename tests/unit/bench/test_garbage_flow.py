"""How much garbage is let out at a time, and what the report tells of it."""

from bench.garbage.flow import LEAST_WINDOW, Flow

MOST = 5_000


def flow() -> Flow:
    return Flow(0, LEAST_WINDOW, lambda _number, _code: True)


def test_a_window_that_never_had_to_be_lowered_tells_no_narrowest() -> None:
    steered = flow()
    for _ in range(100):
        steered.steer(False, MOST)
    assert (steered.narrowest, steered.widest, steered.window) == (None, MOST, MOST)


def test_the_narrowest_is_remembered_after_it_has_opened_again() -> None:
    steered = flow()
    for slow in (*[False] * 100, True, True, *[False] * 100):
        steered.steer(slow, MOST)
    assert (steered.narrowest, steered.window) == (3_200, MOST)


def test_it_is_never_lowered_below_the_least() -> None:
    steered = flow()
    for _ in range(100):
        steered.steer(True, MOST)
    assert steered.narrowest == steered.window == LEAST_WINDOW
