"""``errors.md``: what can be wrong with a message, and what to do."""

from __future__ import annotations

from cli.reference.markdown import code, codes, page, table
from contracts.errors import EXPLANATIONS, Code, Stage

ABOUT = """
A device reads these codes on its own topic `agora/v1/<org>/<device>/down/errors` (schema
[device-error](schemas/device-error.v1.json)), an operator in the quarantine (`./agora quarantine list`). A code never
changes its meaning. With `severity` `error` the message is in quarantine and can be replayed once the cause is mended;
with `warning` it went through. The words that come with a code name the field and what was expected, never a patient's
value.
"""


def render() -> str:
    """Write the page."""
    rows = ((code(one), *EXPLANATIONS[one]) for one in Code)
    stages = f"Stages at which a message can be refused: {codes(stage.value for stage in Stage)}."
    return page("Error codes", ABOUT, table(("Code", "What it says", "What to do"), rows), stages)
