"""``events.md``: everything the processes log and count."""

from __future__ import annotations

from types import ModuleType

from cli.reference.found import modules
from cli.reference.markdown import code, codes, page, table
from runtime.telemetry import EVENTS, METRICS, Event

ABOUT = """
Each process writes one JSON object a line to its standard error (`./agora logs PROCESS`) and answers `/metrics` for
Prometheus. An event and its counter are one thing, told from one place. Events marked *counted* are not logged, since
they happen thousands of times a second. Levels: **error** – data lost or a human needed; **warning** – recovered;
**info** – life cycle; **debug** – per batch.
"""
LABELS: dict[str, str] = {
    "app": "names of registered apps",
    "code": "`contracts.errors.Code`, see [errors.md](errors.md)",
    "dependency": "`database`, `kafka`",
    "ending": "`consent withdrawn`, `app revoked`, `device retired`, `loan ended`",
    "folder": "folders of `AGORA_INGEST_DISK_FOLDERS`",
    "kind": "names of Python's exception classes",
    "outcome": "words of the ledger: `stored`, `accepted`, `duplicate`, `quarantined`, …",
    "reason": "a closed list of words in the room, or the name of an exception class",
    "route": "patterns of the gateway's routes, never a path with its ids",
    "session_present": "`True`, `False`",
    "severity": "`contracts.alerts.Severity`",
    "status": "HTTP status codes",
    "table": "names of the database's tables",
    "task": "names of the keeper's tasks",
    "topic": "names of the platform's topics, see [topics.md](topics.md)",
    "transition": "`contracts.alerts.Transition`",
}
"""From which closed set each label takes its values. The tests refuse a label that is not here: never a device or person."""


def by_module() -> dict[ModuleType, list[Event]]:
    """Give the events of each module that has some, in the order in which it declares them."""
    found = {module: [value for value in vars(module).values() if type(value) is Event] for module in modules("events")}
    return {module: events for module, events in found.items() if events}


def render() -> str:
    """Write the page."""
    parts = []
    for module, events in by_module().items():
        told = (
            (code(event.name), "counted" if event.quiet else event.level, event.help, code(event.counter), codes(event.labels))
            for event in events
        )
        parts += [
            f"## {(module.__doc__ or '').splitlines()[0].rstrip('.')}",
            code(module.__name__.replace(".", "/") + ".py"),
            table(("Event", "Level", "Meaning", "Counter", "Labels"), told),
        ]
    counters = {event.counter for event in EVENTS.values()}
    others = (
        (code(name), kind, words, codes(labels))
        for name, (kind, words, labels) in sorted(METRICS.items())
        if name not in counters
    )
    used = {label for event in EVENTS.values() for label in event.labels} | {
        one for _, _, some in METRICS.values() for one in some
    }
    return page(
        "Events and metrics",
        ABOUT,
        *parts,
        "## Gauges and histograms",
        table(("Metric", "Kind", "Meaning", "Labels"), others),
        "## Labels",
        "Labels take their values from closed sets. No label ever names a device or a person.",
        table(("Label", "Values"), ((code(label), LABELS[label]) for label in sorted(used))),
    )
