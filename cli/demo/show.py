"""The live summary of the demo, drawn for a terminal; line by line where there is none."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.demo.hints import kept_in
from cli.demo.meters import Meters
from cli.demo.run import Demo
from cli.live import LiveScreen

STEPS = (
    ("bridge: Kafka confirmed", "agora_ingest_messages_confirmed_total", "messages", "agora_ingest_confirm_seconds"),
    ("streams: normalised", "agora_streams_readings_total", "readings", "agora_streams_normalise_seconds"),
    ("store: committed", "agora_storage_readings_total", "readings", "agora_storage_latency_seconds"),
    ("router: released to apps", "agora_sharing_readings_released_total", "readings", "agora_sharing_release_seconds"),
    ("gateway: answered", "agora_sharing_requests_total", "requests", "agora_sharing_request_seconds"),
)
"""Each step: its words, its counter, what it counts, and its histogram; the first three measure from arrival at the bridge."""
EVENTS_SHOWN = 8
LINES_BESIDE_EVENTS = 24
"""Of the picture on a terminal wide enough for all counts side by side."""


class Screen(LiveScreen):
    """Shows a running demo."""

    def __init__(self, demo: Demo, console: Console, headless: bool) -> None:
        """Prepare it.

        Args:
            demo: what to show.
            console: where.
            headless: a line now and then instead of a live picture.
        """
        super().__init__(console, plain=headless)
        self._demo = demo
        self._rates: dict[str, tuple[float, float, float]] = {}

    def look(self) -> None:
        """Show how far it is."""
        if self.draw(self.picture):
            return
        self.tell(self._demo.observed.said)
        if self.due(self._demo.observed.elapsed):
            self.print(self._line())

    def _line(self) -> str:
        observed, counts = self._demo.observed, self._demo.fleet.snapshot()
        raised = observed.meters.total("agora_streams_alert_transitions_total", transition="raised")
        quarantined = observed.meters.total("agora_streams_quarantined_total")
        ledger = "ledger not read yet"
        if observed.closing is not None:
            stored, waiting = observed.closing.stored, observed.closing.in_flight
            ledger = f"ledger: {stored} stored, {waiting} in flight, difference {observed.closing.difference}"
        return (
            f"{observed.elapsed:6.1f} s  sent {counts.made + counts.garbage}, receipted {counts.receipted}, "
            f"alerts {raised:.0f}, quarantined {quarantined:.0f}, {ledger}"
        )

    def picture(self) -> RenderableType:
        """Draw everything."""
        room = self._console.height - LINES_BESIDE_EVENTS
        said = list(self._demo.observed.said)[-max(2, min(EVENTS_SHOWN, room)) :]
        return Group(
            self._steps(),
            Columns([self._devices(), self._ledger(), self._quarantine(), self._alerts(), self._apps()], padding=(0, 1)),
            Panel("\n".join(said), title="what happens", border_style="dim"),
            Text(f"Ctrl-C counts everything and ends. Lines to paste: {kept_in(self._demo)}", style="dim"),
        )

    def _steps(self) -> Table:
        meters = self._demo.observed.meters
        of = f" of {self._demo.options.seconds:.0f}" if self._demo.options.seconds else ""
        table = Table(
            title=f"Agora, {self._demo.observed.elapsed:.0f}{of} s; not for clinical decisions",
            title_justify="left",
            caption="Times from a message's arrival, those of killed processes included; gateway: per request.",
            caption_justify="left",
            box=SIMPLE_HEAD,
            expand=True,
        )
        for heading in ("step", "rate", "all", "p50", "p99"):
            table.add_column(heading, justify="left" if heading == "step" else "right")
        for words, counter, unit, seconds in STEPS:
            total = _stored(meters) if counter.startswith("agora_storage_readings") else meters.total(counter)
            row = [f"{self._rate(counter, total):,.0f} {unit}/s", f"{total:,.0f}"]
            table.add_row(words, *row, *(_seconds(meters.quantile(seconds, part)) for part in (0.5, 0.99)))
        return table

    def _rate(self, name: str, total: float) -> float:
        """Give the rate over the last look that is at least a second old."""
        now = self._demo.observed.elapsed
        at, before, rate = self._rates.get(name, (now, total, 0.0))
        if now - at >= 1.0:
            rate = max(0.0, total - before) / (now - at)
            at, before = now, total
        self._rates[name] = (at, before, rate)
        return rate

    def _devices(self) -> Table:
        counts = self._demo.fleet.snapshot()
        return _pairs(
            "devices",
            {
                "sent": counts.made,
                "garbage sent": counts.garbage,
                "sent twice": counts.duplicates,
                "sent again": counts.resent,
                "receipted": counts.receipted,
                "without receipt": counts.outstanding,
                "told errors": sum(counts.errors.values()),
            },
        )

    def _ledger(self) -> Table:
        closing = self._demo.observed.closing
        if closing is None:
            return _pairs("ledger (all messages)", {})
        return _pairs(
            "ledger (all messages)",
            {
                "received": closing.received,
                "stored": closing.stored,
                "duplicate": closing.duplicate,
                "quarantined": closing.quarantined,
                "in flight": closing.in_flight,
                "difference": closing.difference,
                "records behind": sum(closing.lag.values()),
            },
        )

    def _quarantine(self) -> Table:
        return _pairs("quarantine", _whole(self._demo.observed.meters.by("agora_streams_quarantined_total", "code")))

    def _alerts(self) -> Table:
        return _pairs("alerts", _whole(self._demo.observed.meters.by("agora_streams_alert_transitions_total", "transition")))

    def _apps(self) -> Table:
        found: dict[str, int] = {}
        for name, reader in self._demo.readers.items():
            found[f"{name}: received"] = reader.records
            found[f"{name}: patients"] = len(reader.subjects)
            found[f"{name}: FHIR answers"] = reader.queries[200]
        found["withheld without consent"] = round(self._demo.observed.meters.total("agora_sharing_readings_refused_total"))
        return _pairs("apps", found)


def _stored(meters: Meters) -> int:
    return round(meters.total("agora_storage_readings_total", outcome="stored"))


def _whole(values: dict[str, float]) -> dict[str, int]:
    return {name: round(value) for name, value in values.items() if value}


def _pairs(title: str, values: dict[str, int]) -> Table:
    table = Table(title=title, show_header=False, title_justify="left", box=None)
    for name, value in (values or {"none yet": 0}).items():
        table.add_row(name, f"{value:,}")
    return table


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value * 1000:,.0f} ms"
