"""What the demo refuses before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.demo_commands import require_folder
from deploy.local.problems import Problem


def test_a_report_that_could_not_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    require_folder(tmp_path / "report.json")
    for impossible in (tmp_path / "missing" / "report.json", tmp_path):
        with pytest.raises(Problem, match="--report"):
            require_folder(impossible)
