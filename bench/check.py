"""One promise that a run judges."""

from __future__ import annotations

from typing import NamedTuple


class Check(NamedTuple):
    """One promise.

    Attributes:
        name: what is promised.
        passed: whether it held.
        detail: the numbers.
    """

    name: str
    passed: bool
    detail: str
