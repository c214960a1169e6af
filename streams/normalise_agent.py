"""The agent that normalises raw records: bytes in, call the rule, send, acknowledge once confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts.topics import RAW

if TYPE_CHECKING:
    from streams.app import Streams


def register(streams: Streams) -> None:
    """Make the agent.

    Args:
        streams: what it shares with the others.
    """
    topic, acknowledger = streams.consume(RAW)

    async def normalise(stream: Any) -> None:
        async for event in stream.noack().events():
            try:
                entry = await acknowledger.begin(event)
                await streams.outputs.send((), lambda entry=entry: acknowledger.confirm(entry))
            except Exception as error:
                streams.fail(error)
                return

    streams.app.agent(topic, name="agora-normalise")(normalise)
