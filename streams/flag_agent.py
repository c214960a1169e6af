"""The agents that flag: records of vitals and people's commands go to the desk, what it says is sent, then acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import faust
import msgspec

from contracts.alerts import decode_command
from contracts.observation import decode_vitals
from contracts.topics import ALERT_COMMANDS, FLAG_STATE, PARTITIONS, VITALS, Topic
from streams import flag_events as events
from streams.flag import FlagDesk
from streams.outputs import Output
from streams.rules.limits import RuleBook

if TYPE_CHECKING:
    from streams.app import Streams

TABLE = "flag-state"


class ConfirmedTable(faust.Table):  # type: ignore[misc]
    """A Faust table whose changelog is written by our own producer, so that a record waits for its confirmation.

    Faust would write it by the way and acknowledge without it: after a crash, state and offset then disagree.
    """

    def on_key_set(self, key: bytes, value: bytes) -> None:
        """Leave the changelog to the outputs."""


def register(streams: Streams) -> None:
    """Make the agents.

    Args:
        streams: what they share with the others.
    """
    desk = FlagDesk(streams.settings.in_flight_frames)
    table = ConfirmedTable(
        streams.app,
        name=TABLE,
        partitions=PARTITIONS,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )
    streams.app.tables.add(table)
    assert table.changelog_topic_name == FLAG_STATE.name
    in_order = asyncio.Lock()
    streams.rule_listeners.append(lambda: _reread(desk, streams))

    def judge_vitals(value: bytes, partition: int, offset: int) -> list[Output]:
        return desk.vitals(table, decode_vitals(value).observations, partition, offset)

    def judge_command(value: bytes, partition: int, offset: int) -> list[Output]:
        return desk.command(table, decode_command(value), partition, offset)

    _agent(streams, VITALS, judge_vitals, desk, in_order)
    _agent(streams, ALERT_COMMANDS, judge_command, desk, in_order)


def _reread(desk: FlagDesk, streams: Streams) -> None:
    desk.book = RuleBook(streams.rules.records.values())


def _agent(
    streams: Streams, topic: Topic, judge: Callable[[bytes, int, int], list[Output]], desk: FlagDesk, in_order: asyncio.Lock
) -> None:
    source, acknowledger = streams.consume(topic, desk.forget)

    async def flag(stream: Any) -> None:
        async for event in stream.noack().events():
            try:
                entry = await acknowledger.begin(event)
                async with in_order:  # a state must stand in the changelog in the order in which it was made
                    outputs = _judged(judge, event.message)
                    await streams.outputs.send(outputs, partial(acknowledger.confirm, entry))
            except Exception as error:
                streams.fail(error)
                return

    streams.app.agent(source, name=f"agora-flag-{topic.name}")(flag)


def _judged(judge: Callable[[bytes, int, int], list[Output]], message: Any) -> list[Output]:
    try:
        return judge(message.value, message.partition, message.offset)
    except msgspec.DecodeError as error:
        # Written by ourselves, and quarantined by the store: there is nothing here that could be judged.
        events.FLAG_RECORD_UNREADABLE.emit(topic=message.topic, reason=type(error).__name__)
        return []
