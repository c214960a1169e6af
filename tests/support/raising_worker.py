"""The streams process, but that judging a record raises wherever the record names somebody. A test runs it as a module::

python -m tests.support.raising_worker normalise <name>
python -m tests.support.raising_worker flag <name>
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from streams import worker
from streams.flag import FlagDesk
from streams.normalise_agent import NormaliseAgent


class Planted(Exception):
    """What the worker is to stumble over: nothing that it knows."""


def _raising(judge: Callable[..., Any], names: Callable[..., bool]) -> Callable[..., Any]:
    def judged(*arguments: Any) -> Any:
        if names(*arguments):
            raise Planted("as the test wants it")
        return judge(*arguments)

    return judged


def main() -> int:
    agent, name = sys.argv[1:]
    if agent == "normalise":
        work = _raising(NormaliseAgent.work, lambda _agent, record: name.encode() in record.value)
        setattr(NormaliseAgent, NormaliseAgent.work.__name__, work)
    else:
        vitals = _raising(FlagDesk.vitals, lambda _desk, found, _partition, _offset: any(one.subject == name for one in found))
        setattr(FlagDesk, FlagDesk.vitals.__name__, vitals)
    return worker.run()


if __name__ == "__main__":
    sys.exit(main())
