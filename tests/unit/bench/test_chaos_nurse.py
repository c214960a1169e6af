from bench.chaos.nurse import judge_words, words_hold


def test_a_word_that_was_taken_must_be_there_unless_its_alert_was_resolved_before() -> None:
    assert judge_words({"a", "b", "c"}, {"a"}, {"a", "b"}) == (["c"], 1)
    assert judge_words({"a"}, {"a"}, set()) == ([], 0)


def test_one_lost_word_fails_the_run_and_so_do_too_many_that_came_too_late() -> None:
    assert words_hold(10, 0, 5)
    assert not words_hold(10, 1, 0)
    assert not words_hold(10, 0, 6)
