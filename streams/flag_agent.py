"""The agents that flag: records of vitals and people's commands go to the desk, what it says is sent, then acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from contracts.alerts import decode_command
from contracts.observation import decode_vitals
from contracts.topics import ALERT_COMMANDS, VITALS, Topic
from streams import flag_events as events
from streams.flag import FlagDesk, Stages
from streams.flag_states import load
from streams.rules.limits import RuleBook

if TYPE_CHECKING:
    from streams.app import Streams

Judge = Callable[[FlagDesk, Any], Stages]


def register(streams: Streams) -> None:
    """Make the agents.

    Args:
        streams: what they share with the others.
    """
    desk = FlagDesk(streams.settings.in_flight_frames)
    streams.rule_listeners.append(partial(_reread, desk, streams))
    # A state must stand in its topic in the order in which it was made, whichever agent made it.
    in_order = asyncio.Lock()
    _agent(streams, VITALS, _judge_vitals, desk, in_order)
    _agent(streams, ALERT_COMMANDS, _judge_command, desk, in_order)


def _reread(desk: FlagDesk, streams: Streams) -> None:
    desk.book = RuleBook(streams.rules.records.values())


def _judge_vitals(desk: FlagDesk, message: Any) -> Stages:
    return desk.vitals(decode_vitals(message.value).observations, message.partition, message.offset)


def _judge_command(desk: FlagDesk, message: Any) -> Stages:
    return desk.command(decode_command(message.value), message.partition, message.offset)


def _agent(streams: Streams, topic: Topic, judge: Judge, desk: FlagDesk, in_order: asyncio.Lock) -> None:
    source, acknowledger = streams.consume(topic, desk.forget)

    async def flag(stream: Any) -> None:
        async for event in stream.noack().events():
            try:
                entry = await acknowledger.begin(event)
                async with in_order:
                    await _remember(streams, desk, event.message)
                    *first, last = _judged(judge, desk, event.message)
                    for stage in first:
                        await streams.outputs.write(stage)
                    await streams.outputs.send(last, partial(acknowledger.confirm, entry))
            except Exception as error:
                streams.fail(error)
                return

    streams.app.agent(source, name=f"agora-flag-{topic.name}")(flag)


async def _remember(streams: Streams, desk: FlagDesk, message: Any) -> None:
    """Read the states of a partition that was assigned anew, before its first record is judged."""
    generation = message.generation_id or 0
    if not desk.holds(message.partition, generation):
        upto = message.offset if message.topic == VITALS.name else None
        states = await load(streams.kafka, streams.app.conf.id, message.partition, upto, desk.book)
        desk.take(message.partition, generation, states)


def _judged(judge: Judge, desk: FlagDesk, message: Any) -> Stages:
    try:
        return judge(desk, message)
    except msgspec.DecodeError as error:
        # Written by ourselves, and quarantined by the store: there is nothing here that could be judged.
        events.FLAG_RECORD_UNREADABLE.emit(topic=message.topic, reason=type(error).__name__)
        return [[]]
