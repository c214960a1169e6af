"""Shows a run: live in a terminal, line by line elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table

from bench.chaos.faults import Happened
from bench.chaos.run import Run
from bench.chaos.sizes import Sizes
from bench.chaos.times import AT_ENDS
from cli.live import LiveScreen

FAULTS_SHOWN = 12


class Screen(LiveScreen):
    """Shows how far a run is."""

    def __init__(self, console: Console) -> None:
        """Prepare it; a console that is no terminal gets a line now and then."""
        super().__init__(console)
        self._phase = ""

    def look(self, run: Run) -> None:
        """Show how far it is."""
        if self.draw(lambda: picture(run)):
            return
        if run.observed.phase != self._phase:
            self._phase = run.observed.phase
            self.print(f"{run.observed.elapsed:6.1f} s  {self._phase}")
        self.tell(run.observed.said)
        if run.fleet is not None and self.due(run.observed.elapsed):
            self.print(f"{run.observed.elapsed:6.1f} s  {counts(run)}")


def counts(run: Run) -> str:
    """Say in a line what devices and faults did so far."""
    if run.fleet is None:
        return "nothing sent yet"
    sent = run.fleet.snapshot()
    over = sum(one.recovered for one in run.happened)
    return (
        f"{sent.made + sent.garbage} sent, {sent.receipted} receipted, {sent.outstanding} without receipt; "
        f"{len(run.happened)} of {len(run.plan)} faults, {over} of them over"
    )


def picture(run: Run) -> RenderableType:
    """Draw everything."""
    table = Table(box=SIMPLE_HEAD, expand=True, title_justify="left", title="newest faults; seconds from the end of each")
    for heading in ("at", "fault", "part back", "stored", "released", "gateway answers"):
        table.add_column(heading, justify="left" if heading == "fault" else "right", no_wrap=True)
    for one in run.happened[-FAULTS_SHOWN:]:
        table.add_row(f"{one.began:.1f} s", str(one.fault), *(_seconds(value) for value in _ends(one)))
    title = f"chaos, seed {run.options.seed}: {run.observed.phase}"
    return Group(Panel(f"{run.observed.elapsed:.0f} of {run.options.seconds:.0f} s; {counts(run)}", title=title), table)


def _ends(one: Happened) -> tuple[float | None, ...]:
    return one.back, one.stored, one.released, one.answered


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"


def verdict(console: Console, found: Mapping[str, Any]) -> None:
    """Print how soon everything went on, what the run showed less of than its plan says, and the checks.

    Args:
        console: where.
        found: from ``report.report``.
    """
    if found["recovery_seconds"]:
        console.print(_times(found["recovery_seconds"]))
    for one in found["withdrawals"]:
        console.print(_withdrawal(one), soft_wrap=True, highlight=False)
    console.print(Sizes(**found["messages_per_raw_record"]).words(), soft_wrap=True, highlight=False)
    if found["dealt_and_not_met"]:
        console.print(f"dealt, and met nobody: {', '.join(found['dealt_and_not_met'])}", soft_wrap=True, highlight=False)
    for check in found["checks"]:
        mark = "[green]holds[/]" if check["passed"] else "[bold red]FAILS[/]"
        console.print(f"{mark}  {check['name']} ({check['detail']})", soft_wrap=True, highlight=False)


def _times(recovery: Mapping[str, Mapping[str, Any]]) -> Table:
    title = "seconds from a fault's end until all goes on, median and longest, of those beside which nothing else was wrong"
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left")
    for heading in ("fault", "times", "met others", "stored", "released", "gateway answers"):
        table.add_column(heading, justify="left" if heading == "fault" else "right", no_wrap=True)
    for name, found in recovery.items():
        ends = (found.get(end) for end in AT_ENDS)
        shown = ("–" if one is None else f"{one['median']:.1f}  {one['longest']:.1f}" for one in ends)
        table.add_row(name, str(found["faults"]), str(found["met_others"]), *shown)
    return table


def _withdrawal(one: Mapping[str, Any]) -> str:
    met = ", ".join(fault["fault"] for fault in one["met"]) or "no fault on its path"
    last = "–" if one["last_reading"] is None else f"{one['last_reading']:.2f} s"
    told = "never" if one["told_to_erase"] is None else f"after {one['told_to_erase']:.2f} s"
    again = "; given again" if one["given_again"] else ""
    return f"withdrawal {one['number']} met {met}: last reading {last} after it, told to erase {told}{again}"
