from registry.clock_watch import Steps

SECOND = 1_000_000


def test_a_clock_that_is_set_is_told_once_with_how_far() -> None:
    steps = Steps()
    said = [steps.take(wall * SECOND, elapsed) for wall, elapsed in ((1_000, 5.0), (1_001, 6.0), (1_302, 7.0), (1_303, 8.0))]
    assert said == [0.0, 0.0, 300.0, 0.0]
    assert steps.take(1_004 * SECOND, 9.0) == -300.0


def test_a_clock_that_is_only_steered_and_a_process_that_stood_still_are_none() -> None:
    steps = Steps()
    assert [
        steps.take(round(wall * SECOND), elapsed) for wall, elapsed in ((1_000, 5.0), (1_001.01, 6.0), (4_601.02, 3_606.0))
    ] == [
        0.0,
        0.0,
        0.0,
    ]
