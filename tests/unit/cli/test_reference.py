from __future__ import annotations

from pathlib import Path

import pytest

from cli import docs_commands
from cli.reference import decisions, pages
from cli.reference.markdown import code, number, page, table
from cli.reference.vitals import mdc
from contracts.errors import AgoraError


def run(folder: Path, *, check: bool = False, publish: bool = False) -> int:
    return docs_commands.run(folder, check=check, publish=publish)


def test_what_is_missing_is_told_and_then_written_once(tmp_path: Path) -> None:
    assert run(tmp_path, check=True) == 1
    assert run(tmp_path) == 0
    assert (tmp_path / "reference/topics.md").exists()
    assert run(tmp_path, check=True) == 0
    assert pages.write(tmp_path) == []


def test_a_page_that_was_edited_by_hand_is_found_and_mended(tmp_path: Path) -> None:
    assert run(tmp_path) == 0
    edited = tmp_path / "reference/errors.md"
    edited.write_text("anything")
    assert run(tmp_path, check=True) == 1
    assert pages.write(tmp_path) == ["reference/errors.md"]


def test_a_schema_of_nothing_is_removed(tmp_path: Path) -> None:
    assert run(tmp_path) == 0
    left = tmp_path / "reference/schemas" / "left-over.v1.json"
    left.write_text("{}")
    assert run(tmp_path, check=True) == 1
    assert run(tmp_path) == 0
    assert not left.exists()


def test_a_schema_that_breaks_the_published_one_is_refused(tmp_path: Path) -> None:
    assert run(tmp_path, publish=True) == 0
    path = tmp_path / pages.PUBLISHED
    path.write_text(path.read_text().replace('"words"', '"phrases"'))
    assert run(tmp_path) == 1
    assert run(tmp_path, check=True) == 1


def test_a_table_escapes_bars_and_leaves_out_columns_without_anything() -> None:
    assert table(("A", "B", "C"), [("a|b", "", "c\nd")]) == "| A | C |\n| --- | --- |\n| a\\|b | c d |"


def test_a_page_says_that_it_is_generated_and_ends_in_one_newline() -> None:
    assert page("Title", "words", "").endswith("words\n")
    assert "./agora docs" in page("Title")


def test_numbers_and_codes_are_written_plainly() -> None:
    assert (number(70.0), number(0.3), number(None), code("")) == ("70", "0.3", "", "")
    assert mdc(147842) == "147842 (2:16770)"


def test_a_decision_record_without_a_status_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "0002-later.md").write_text("# 2. Later\n\nStatus: accepted\n")
    (tmp_path / "0001-first.md").write_text("# 1. First\n\nStatus: replaced by 2\n")
    assert decisions.records(tmp_path) == [
        (1, "First", "replaced by 2", "0001-first.md"),
        (2, "Later", "accepted", "0002-later.md"),
    ]
    (tmp_path / "0003-none.md").write_text("# 3. None\n")
    with pytest.raises(AgoraError, match="0003-none"):
        decisions.records(tmp_path)
