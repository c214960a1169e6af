"""A change of the registry that cannot be made, told in words."""

from __future__ import annotations

from contracts.errors import AgoraError


class Refused(AgoraError):
    """What was asked contradicts the registry, or has no sense; nothing was changed.

    Args:
        words: what is wrong.
        remedy: what to do instead, or empty.
    """

    def __init__(self, words: str, remedy: str = "") -> None:
        self.words = words
        self.remedy = remedy
        super().__init__(f"{words} {remedy}".strip())
