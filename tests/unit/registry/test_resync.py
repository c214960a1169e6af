import json
from typing import Any

from contracts.registry import AppRecord, RuleRecord
from registry.publication import Line
from registry.resync import Newest, Plan, drift, plan

T = "agora.registry.rules.v1"


def value(version: int, **more: Any) -> dict[str, Any]:
    return {"version": version, **more}


def held(version: int, **more: Any) -> bytes:
    return json.dumps(value(version, **more)).encode()


def test_nothing_is_published_where_both_agree() -> None:
    assert plan({(T, "a"): Newest(7, value(7), True)}, {(T, "a"): held(7)}, 7) == Plan([], [], 0)


def test_an_emptied_topic_is_filled_with_the_versions_that_were_there() -> None:
    found = plan({(T, "a"): Newest(7, value(7), True), (T, "gone"): Newest(8, None, True)}, {}, 8)
    assert found == Plan([Line(T, "a", held(7))], [], 0)


def test_an_old_record_is_replaced_and_an_unknown_one_removed() -> None:
    found = plan({(T, "a"): Newest(7, value(7), True)}, {(T, "a"): held(3), (T, "b"): held(4)}, 7)
    assert found == Plan([Line(T, "b", None), Line(T, "a", held(7))], [], 0)


def test_what_was_never_published_is_left_to_the_outbox() -> None:
    assert plan({(T, "a"): Newest(7, value(7), False)}, {}, 7) == Plan([], [], 0)


def test_what_exists_no_more_is_removed() -> None:
    assert plan({(T, "a"): Newest(7, None, True)}, {(T, "a"): held(3)}, 7).lines == [Line(T, "a", None)]


def test_other_contents_under_the_same_version_need_a_new_version() -> None:
    found = plan({(T, "a"): Newest(7, value(7, low=1), True)}, {(T, "a"): held(7, low=2)}, 7)
    assert found == Plan([], [(T, "a")], 0)


def test_a_database_from_a_backup_counts_on_above_what_kafka_holds() -> None:
    newest = {(T, "a"): Newest(7, value(7), True), (T, "b"): Newest(8, value(8), True)}
    found = plan(newest, {(T, "a"): held(7), (T, "b"): held(20)}, 8)
    assert found.beyond == 20
    assert found.renew == [(T, "a"), (T, "b")]


def test_a_record_that_cannot_be_read_is_replaced() -> None:
    newest = {(T, "a"): Newest(7, value(7), True)}
    assert plan(newest, {(T, "a"): b"\xff{"}, 7).lines == [Line(T, "a", held(7))]
    assert plan(newest, {(T, "a"): b"[]"}, 7).lines == [Line(T, "a", held(7))]


def test_a_table_that_was_changed_by_hand_wins_over_the_outbox() -> None:
    rule = RuleRecord(rule="a", vital="8867-4", low=50.0)
    app = AppRecord(app="x", org="o", client_id="c")
    old = rule.model_copy(update={"low": 40.0})
    same = Newest(9, app.model_dump(mode="json") | {"version": 9}, True)
    newest = {
        (T, "a"): Newest(1, old.model_dump(mode="json") | {"version": 1}, True),
        (T, "gone"): Newest(2, value(2), True),
        ("apps", "x"): same,
        (T, "long-gone"): Newest(3, None, True),
    }
    assert drift({(T, "a"): rule, ("apps", "x"): app}, newest) == {(T, "a"): rule, (T, "gone"): None}
    assert drift({(T, "new"): rule}, {}) == {(T, "new"): rule}
