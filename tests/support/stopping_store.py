"""The store process, but that it stops itself (SIGSTOP) once, in the middle of a transaction. A test runs it as a module::

python -m tests.support.stopping_store copy    # with a COPY open whose rows were not sent
python -m tests.support.stopping_store fence   # between two statements, its positions moved
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from psycopg import AsyncConnection

from storage import rows, store, tables

TRANSACTION = 2
"""The one in which it stops: the one before is committed, and may hold all that waited until the store had begun."""


def _stops() -> Any:
    """Give a function that stops the process at its second call."""
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1
        if calls == TRANSACTION:
            os.kill(os.getpid(), signal.SIGSTOP)

    return count


def main() -> int:
    (where,) = sys.argv[1:]
    count = _stops()
    if where == "copy":
        copy_data = rows.copy_data

        def stopping_copy(*arguments: Any) -> Any:  # asked for once the COPY is open
            count()
            return copy_data(*arguments)

        setattr(rows, copy_data.__name__, stopping_copy)
    else:
        move_positions = tables.move_positions

        async def stopping_move(connection: AsyncConnection, steps: Mapping[Any, Any]) -> bool:
            moved = await move_positions(connection, steps)
            count()
            return moved

        setattr(tables, move_positions.__name__, stopping_move)
    return store.run()


if __name__ == "__main__":
    sys.exit(main())
