import signal
from collections.abc import Iterator

import pytest

from contracts.alerts import AlertCommand, AlertTransition, Transition, encode
from contracts.frames import encode as encode_frame
from contracts.frames import headers
from contracts.ids import partition_of
from contracts.instants import SECOND
from contracts.observation import VitalsFrame
from contracts.topics import ALERT_COMMANDS, FLAG_STATE, PARTITIONS, VITALS
from deploy.local.stack import Stack
from tests.support.flagging import START, acknowledged, publish, reading, transitions, writer
from tests.support.forbidding import empty


@pytest.fixture
def worker(stack: Stack) -> Iterator[Stack]:
    stack.start_process("streams")
    yield stack
    stack.stop_process("streams")


@pytest.mark.timeout(180)
async def test_a_worker_killed_again_and_again_neither_forgets_nor_doubles_an_alert(worker: Stack) -> None:
    subjects = [f"flag-{number}" for number in range(12)]
    series = [36.8, 38.5, 39.0, 40.2, 39.0, 38.5, 36.8]
    expected = [Transition.RAISED, Transition.ESCALATED, Transition.DE_ESCALATED, Transition.RESOLVED]
    async with writer(worker) as producer:
        for second, value in enumerate(series):
            for subject in subjects:
                await publish(producer, reading(subject, second * 60, value))
            if second in (1, 3, 5):
                await transitions(worker, set(subjects), 1)
                worker.kill("streams", signal.SIGKILL)
                worker.stop_process("streams")
                worker.start_process("streams")
        found = await transitions(worker, set(subjects), len(subjects) * len(expected))
    lives: dict[str, list[AlertTransition]] = {}
    for transition in sorted(found, key=lambda one: one.number):
        lives.setdefault(transition.subject, []).append(transition)
    assert set(lives) == set(subjects)
    for life in lives.values():
        assert [one.transition for one in life] == expected
        assert len({one.alert for one in life}) == 1


@pytest.mark.timeout(120)
async def test_a_person_acknowledges_an_alert_that_was_raised_before_a_restart(worker: Stack) -> None:
    async with writer(worker) as producer:
        await publish(producer, reading("restarted", 0, 40.0))
        raised = (await transitions(worker, {"restarted"}, 1))[0]
        worker.stop_process("streams")
        worker.start_process("streams")
        command = AlertCommand(raised.alert, "restarted", Transition.ACKNOWLEDGED, "nurse", START)
        for _ in range(2):
            await producer.send_and_wait(ALERT_COMMANDS.name, encode(command), partition=partition_of("restarted", PARTITIONS))
        found = await transitions(worker, {"restarted"}, 2)
    assert [one.transition for one in found] == [Transition.RAISED, Transition.ACKNOWLEDGED]
    assert found[1].by == "nurse"


@pytest.mark.timeout(120)
async def test_an_upload_with_thousands_of_turns_does_not_stop_the_worker(worker: Stack) -> None:
    turns = 2_000
    upload = [reading("returned", 60 * number, 39.0 if number % 2 else 36.8) for number in range(turns)]
    partition = partition_of("returned", PARTITIONS)
    async with writer(worker) as producer:
        value = encode_frame(VitalsFrame(upload))
        await producer.send_and_wait(VITALS.name, value, partition=partition, headers=headers(turns))
        await publish(producer, reading("returned", 60 * turns, 36.8))
        found = await transitions(worker, {"returned"}, turns)
    assert {one.transition for one in found} == {Transition.RAISED, Transition.RESOLVED}


@pytest.mark.timeout(120)
async def test_states_whose_topic_was_emptied_are_begun_anew_and_readings_go_on(worker: Stack) -> None:
    async with writer(worker) as producer:
        await publish(producer, reading("emptied", 0, 38.5))
        (before,) = await transitions(worker, {"emptied"}, 1)
        worker.stop_process("streams")
        empty(worker, FLAG_STATE)
        worker.start_process("streams")
        await publish(producer, reading("emptied", 60, 38.5))
        found = await transitions(worker, {"emptied"}, 2)
    assert [one.transition for one in found] == [Transition.RAISED, Transition.RAISED]
    assert len({one.alert for one in found}) == 2, "an alert from before is not known any more, and never raised twice"
    assert before in found


@pytest.mark.timeout(120)
async def test_after_a_kill_an_older_reading_is_not_taken_for_a_newer_one(worker: Stack) -> None:
    async with writer(worker) as producer:
        await publish(producer, reading("resent", 0, 36.8))
        await publish(producer, reading("resent", 40, 36.8))  # changes nothing but the time of the newest, so it is not written
        await acknowledged(worker, "resent")
        worker.kill("streams", signal.SIGKILL)
        worker.stop_process("streams")
        worker.start_process("streams")
        await publish(producer, reading("resent", 20, 39.0))  # sent again late, as after a broker's death
        await publish(producer, reading("resent", 50, 36.8))
        await publish(producer, reading("resent", 100, 39.0))
        (first,) = await transitions(worker, {"resent"}, 1)
    assert first.onset == START + 100 * SECOND, "an undisturbed worker raises nothing over the older one"
