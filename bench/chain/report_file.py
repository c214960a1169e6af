"""The report as a file that is whole at every moment, written anew after each run: one cut short leaves what it measured."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.chain import report
from bench.chain.runs import Run


class ReportFile:
    """Where the report goes.

    Args:
        path: of the file; its folder exists.
        options: what was asked for.
        machine: its facts.
    """

    def __init__(self, path: Path, options: Mapping[str, Any], machine: Mapping[str, str]) -> None:
        self._path = path
        self._options = options
        self._machine = machine

    def write(self, runs: Sequence[Run], rounds: int, is_finished: bool = False) -> None:
        """Write all runs so far in place of what stood there, in one step.

        Args:
            runs: so far.
            rounds: that are complete.
            is_finished: whether nothing more is to come.
        """
        found = report.as_json(runs, self._options, self._machine, rounds, is_finished)
        partial = self._path.with_name(f".{self._path.name}.partial")
        partial.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        os.replace(partial, self._path)
