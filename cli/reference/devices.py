"""``devices.md``: every model of device."""

from __future__ import annotations

from catalogue.device import MODELS
from catalogue.registry import BY_CODE
from cli.reference.markdown import code, number, page, table

ABOUT = """
A device is enrolled under a model (`./agora device`). The model says which streams it publishes, last level of the
topic `agora/v1/<org>/<device>/up/<stream>`, and in which format. A device may send further vitals than those its model
lists. A reading that arrives later than the allowance after it was measured is stored in its place and flagged `late`.
The format `agora-json` is described in [device-format.md](device-format.md).
"""


def render() -> str:
    """Write the page."""
    rows = (
        (
            code(model.name),
            model.display,
            ", ".join(f"{code(stream)} in {code(form)}" for stream, form in model.streams.items()),
            ", ".join(f"{code(vital)} {BY_CODE[vital].short}" for vital in model.vitals) or "any",
            _span(model.cadence_seconds),
            _span(model.late_after_seconds),
            model.source,
        )
        for model in MODELS
    )
    headings = ("Model", "What it is", "Streams", "Measures", "A reading every", "Late after", "Source")
    return page("Device models", ABOUT, table(headings, rows))


def _span(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{number(seconds / size)} {unit}"
    return f"{number(seconds)} s"
