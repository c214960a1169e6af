"""The gateway: OAuth 2 for apps, FHIR R4 under consent, the operator's API, one webhook out; HTTPS only."""

from __future__ import annotations


def run() -> int:
    """Run the gateway until it is told to stop; see ``sharing.gateway.process``."""
    from sharing.gateway import process  # the web framework, which nobody else in this room needs

    return process.run()
