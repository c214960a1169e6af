"""The stack as a process of its own: ``python -m deploy.local.supervisor [--servers-only]``; ``detached`` starts it.

It starts everything, starts again what dies, and stops everything when it is asked to (SIGTERM). When it is killed the kernel
asks its children to end.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from types import FrameType

from deploy.local import state
from deploy.local.instance import PROCESSES
from deploy.local.problems import Problem
from deploy.local.stack import PROCESS_START_SECONDS, Stack


class _StopAsked(BaseException):
    """Somebody wants us to stop; not an Exception, so that nothing on the way takes it for a failure."""


def main(arguments: list[str]) -> int:
    """Run an instance, as the environment names it, until a signal.

    Args:
        arguments: ``--servers-only`` leaves out our own processes.

    Returns:
        The exit code: 1 when the start failed; why is in the state.
    """
    woken = _wake_on_signals()
    stack = Stack()
    problem: Problem | None = None
    try:
        stack.start_servers()
        if "--servers-only" not in arguments:
            stack.start_processes()
            _wait_processes(stack)
        stack.mark_ready()
        while True:
            if select.select([woken], [], [], stack.tend())[0]:
                os.read(woken, 4096)
    except _StopAsked:
        pass
    except Problem as found:
        problem = found
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        stack.stop(problem)
    return 1 if problem else 0


def _wait_processes(stack: Stack) -> None:
    """Wait for our processes. One that does not come up shall not take the others down: it is started again, the status tells."""
    waiting = set(PROCESSES)
    for _ in state.glances(PROCESS_START_SECONDS):
        stack.tend()
        waiting -= {name for name in waiting if stack.answers(name)}
        if not waiting:
            return


def _wake_on_signals() -> int:
    """Turn signals into an exception, and a child's death into something that can be waited for."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _StopAsked

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    return reading


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
