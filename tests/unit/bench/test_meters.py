import os

from bench.chain import meters
from bench.chain.commits import Seen, latencies
from bench.chain.meters import Database, Entry
from bench.chain.statistics import per_million, percentiles, spread


def test_a_programs_name_with_blanks_and_brackets_does_not_shift_the_fields() -> None:
    fields = ["S", "7", *["0"] * 9, str(2 * meters.TICKS), str(meters.TICKS), str(meters.TICKS), "0", "20"]
    assert meters.parse_stat(f"42 (a ) b) {' '.join(fields)}") == Entry(7, 3.0, 1.0)


def test_children_count_with_their_parent_also_those_that_have_ended() -> None:
    entries = {1: Entry(0, 5.0, 0.0), 2: Entry(1, 1.0, 0.5), 3: Entry(2, 2.0, 0.0), 4: Entry(2, 9.0, 0.0)}
    assert meters.family(entries, 2) == {2, 3, 4}
    assert meters.cpu_seconds(entries, 2) == 12.5
    assert meters.cpu_seconds(entries, 2, without=[4]) == 3.5
    assert meters.cpu_seconds(entries, 99) == 0.0


def test_this_process_uses_time_and_memory() -> None:
    entries = meters.processes()
    assert meters.cpu_seconds(entries, os.getpid()) > 0
    assert meters.proportional_bytes(entries, os.getpid()) > 1_000_000


def test_the_title_of_a_server_process_tells_for_whom_it_works() -> None:
    assert meters.role_of("postgres: agora_store agora 127.0.0.1(5) COPY") == "store"
    assert meters.role_of("postgres: walwriter ") == "itself"
    assert meters.role_of("") == "itself"


def test_a_connection_that_ended_meanwhile_counts_with_its_server_and_no_role_less_than_nothing() -> None:
    before = Database({1: ("postgres itself", 4.0), 2: ("postgres store", 2.0), 3: ("postgres store", 1.0)})
    after = Database({1: ("postgres itself", 6.5), 2: ("postgres store", 2.25), 4: ("postgres keeper", 0.5)})  # 3 had come to 1.5
    assert after.since(before) == {"postgres itself": 1.5, "postgres store": 0.25, "postgres keeper": 0.5}
    assert sum(after.since(before).values()) == 9.25 - 7.0


def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed() -> None:
    found = percentiles([(3.0, 1), (1.0, 98), (2.0, 1)])
    assert found == {"p50": 1.0, "p90": 1.0, "p99": 2.0, "p99.9": 3.0, "max": 3.0}
    assert percentiles([]) == {}
    assert per_million(2.0, 100_000) == 20.0
    assert spread([3.0, 1.0, 2.0]) == (1.0, 2.0, 3.0)


def test_a_row_is_visible_at_the_first_look_that_saw_its_commit_or_a_later_one() -> None:
    seen = Seen()
    for committed, looked in ((100, 110), (100, 120), (300, 330)):
        seen.take(committed, looked)
    assert [seen.visible(committed) for committed in (90, 100, 200, 300, 301)] == [110, 110, 330, 330, None]
    assert latencies([(100, 10, 3), (400, 10, 1)], seen) == [(0.0001, 3)]
