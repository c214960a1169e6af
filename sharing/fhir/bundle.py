"""Searchset Bundles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Resource = dict[str, Any]


def searchset(base: str, resources: Iterable[Resource], self_link: str, next_link: str = "") -> Resource:
    """Put the page of a search into a Bundle.

    It carries no total: counting would read what is not shown, and be wrong with the next reading.

    Args:
        base: address of the FHIR endpoint.
        resources: what was found, each with ``resourceType`` and ``id``.
        self_link: address of this page.
        next_link: address of the next page, empty on the last.
    """
    entries = [
        {
            "fullUrl": f"{base}/{resource['resourceType']}/{resource['id']}",
            "resource": resource,
            "search": {"mode": "match"},
        }
        for resource in resources
    ]
    links = [{"relation": "self", "url": self_link}]
    if next_link:
        links.append({"relation": "next", "url": next_link})
    bundle: Resource = {"resourceType": "Bundle", "type": "searchset", "link": links}
    if entries:  # FHIR has no empty arrays
        bundle["entry"] = entries
    return bundle
