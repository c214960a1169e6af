"""A picture of what runs, drawn anew on a terminal; lines where there is none."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live

PLAIN_EVERY_SECONDS = 10.0
"""How often a line tells how far it is, where there is no picture."""


class LiveScreen:
    """Shows a run while it lasts.

    Args:
        console: where.
        plain: lines also on a terminal.
    """

    def __init__(self, console: Console, *, plain: bool = False) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal and not plain else None
        self._said = 0
        self._spoken_at = 0.0

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Leave the last picture standing."""
        if self._live is not None:
            self._live.stop()

    def draw(self, picture: Callable[[], RenderableType]) -> bool:
        """Draw a picture where pictures are drawn; False where lines are wanted instead."""
        if self._live is None:
            return False
        self._live.update(picture(), refresh=True)
        return True

    def tell(self, said: Collection[str]) -> None:
        """Print what was said since the last time."""
        for line in list(said)[self._said :]:
            self.print(line)
        self._said = len(said)

    def due(self, elapsed: float) -> bool:
        """Tell, once each ``PLAIN_EVERY_SECONDS``, that a line is due."""
        if elapsed - self._spoken_at < PLAIN_EVERY_SECONDS:
            return False
        self._spoken_at = elapsed
        return True

    def print(self, line: str) -> None:
        """Print a line as it is."""
        self._console.print(line, highlight=False, soft_wrap=True)
