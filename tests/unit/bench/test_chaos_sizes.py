from bench.chaos.sizes import sizes


def test_records_are_summed_up_and_those_of_the_busiest_quarter_apart() -> None:
    found = sizes(
        [*((second, 1) for second in range(30) for _ in range(4)), *((second, 6) for second in range(30, 40) for _ in range(4))]
    )
    assert (found.records, found.median, found.p90, found.longest, found.busy_median) == (160, 1, 6, 6, 6)
    assert "below" not in found.words()


def test_a_load_of_single_messages_is_remarked_on() -> None:
    assert "below 4" in sizes([(second, 1) for second in range(30)]).words()
    assert sizes([]).records == 0
