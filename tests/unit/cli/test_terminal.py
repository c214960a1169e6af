import pytest

from cli.storage_commands import _shown
from cli.terminal import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe 7 µg", "Größe 7 µg"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("one\ntwo\rthree", "one\\ntwo\\rthree"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\x9b31mred", "\\x9b31mred"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_payload_keeps_its_lines_and_nothing_else_that_a_terminal_obeys() -> None:
    assert _shown(b'{\n\t"a": 1}') == '{\n\t"a": 1}'
    assert _shown(b'{\n"a": "\x1b]0;owned\x07"}') == '{\n"a": "\\x1b]0;owned\\x07"}'
    assert _shown(b"\xff\xfe") == "ff fe"
