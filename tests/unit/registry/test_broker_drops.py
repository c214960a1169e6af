from registry.broker_watch import Drops


def test_what_the_broker_dropped_is_told_once_and_all_of_it_at_the_first_look() -> None:
    drops = Drops()
    assert [drops.take(total) for total in (5, 5, 7, 7)] == [5, 0, 2, 0]


def test_a_broker_that_started_anew_counts_from_nothing() -> None:
    drops = Drops()
    assert [drops.take(total) for total in (100, 0, 3, 4)] == [100, 0, 3, 1]
