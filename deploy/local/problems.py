"""What can stand in the way of running the platform here, told in words with its remedy."""

from __future__ import annotations

from contracts.errors import Misconfigured


class Problem(Misconfigured):
    """Something on this machine that a person has to change.

    Args:
        what: what is wrong, in one sentence.
        remedy: what to do about it, best a line to paste; empty when there is nothing to advise.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}\n{remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy
