"""Showing what came from outside on somebody's terminal."""

from __future__ import annotations


def plain(text: str, keep: str = "") -> str:
    r"""Give a text as it may be shown: characters that a terminal obeys or that turn the writing round are written out.

    Args:
        text: from a device, a message or another program's log.
        keep: such characters that are wanted, as line ends.

    Returns:
        The text, with an escape sequence as ``\x1b`` in four characters.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else one.encode("unicode_escape", "replace").decode() for one in text)
