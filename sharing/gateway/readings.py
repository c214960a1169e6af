"""Readings for one app and subject, under consent, a page at a time. See docs/adr/0007-fhir-search-paging.md.

The consent is applied in the query to each reading, and once more by row-level security, under whose role the query runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from psycopg import Connection
from psycopg.rows import dict_row

from catalogue.registry import BY_CODE, PANELS, VITALS
from contracts.ids import observation_id
from contracts.instants import DAY, from_datetime, to_datetime
from contracts.observation import Observation
from sharing.fhir.cursor import ObservationPlace
from sharing.fhir.dates import EARLIEST, LATEST, Span
from sharing.fhir.observation import group, panel_of

FIRST_WIDTHS = (3 * DAY, 30 * DAY)
_PANEL_NUMBERS = {panel.code: -1 - number for number, panel in enumerate(PANELS)}
_VITAL_NUMBERS = {vital.code: number for number, vital in enumerate(VITALS)}

_WINDOWS = """
SELECT v.code, c.consent, c.revision, c.purpose, c.lower_bound
FROM active_consents c JOIN vitals v ON v.code = ANY (c.vitals)
WHERE c.app = %(app)s AND c.subject_key = %(subject)s AND v.code = ANY (%(codes)s)
"""
_LARGEST_CORRECTION = "SELECT coalesce(max(abs(offset_microseconds)), 0) FROM clock_corrections"
# Each vital by itself, so that its part of the read index gives the order; then merged.
_PAGE: LiteralString = """
WITH windows AS MATERIALIZED (
    SELECT v.vital_key, v.code, g.member_of, c.consent, c.revision, c.lower_bound, c.upper_bound
    FROM active_consents c
    JOIN vitals v ON v.code = ANY (c.vitals)
    JOIN unnest(%(codes)s::text[], %(groups)s::integer[]) AS g (code, member_of) ON g.code = v.code
    WHERE c.app = %(app)s AND c.subject_key = %(subject)s
), spans AS MATERIALIZED (
    SELECT vital_key, code, member_of,
           greatest(min(lower_bound), %(start)s) AS lower_bound, least(max(upper_bound), %(end)s) AS upper_bound
    FROM windows GROUP BY vital_key, code, member_of
)
SELECT f.*, s.code, s.member_of, d.org::text, d.name::text AS device, coalesce(n.name, t.name) AS site, w.consent, w.revision
FROM spans s
CROSS JOIN LATERAL (
    SELECT o.effective_at, o.device_key, o.site_key, o.device_time, o.sequence, o.received_at, o.value, o.quality, o.vital_key
    FROM shared_observations o
    WHERE o.subject_key = %(subject)s AND o.vital_key = s.vital_key
      AND o.effective_at >= s.lower_bound AND o.effective_at < s.upper_bound
      AND o.device_time >= %(device_start)s AND o.device_time < %(device_end)s
      AND EXISTS (SELECT FROM windows w
                  WHERE w.vital_key = o.vital_key AND o.effective_at >= w.lower_bound AND o.effective_at < w.upper_bound)
      {beyond}
    ORDER BY o.effective_at {order}, o.device_key {order}, o.site_key {order}, o.device_time {order}, o.sequence {order}
    LIMIT %(most_each)s
) f
CROSS JOIN LATERAL (
    SELECT w.consent, w.revision FROM windows w
    WHERE w.vital_key = f.vital_key AND f.effective_at >= w.lower_bound AND f.effective_at < w.upper_bound
    ORDER BY w.lower_bound, w.consent LIMIT 1
) w
JOIN devices d ON d.device_key = f.device_key
LEFT JOIN sites t ON t.site_key = f.site_key
LEFT JOIN device_sites n ON n.device_key = f.device_key AND n.site_key = f.site_key
ORDER BY f.effective_at {order}, f.device_key {order}, f.site_key {order}, f.device_time {order}, f.sequence {order},
         s.member_of {order}
LIMIT %(most)s
"""
_BEYOND: LiteralString = """AND (o.effective_at, o.device_key, o.site_key, o.device_time, o.sequence, s.member_of) {than}
      (%(at_effective)s, %(at_device)s, %(at_site)s, %(at_device_time)s, %(at_sequence)s, %(at_member_of)s)"""


@dataclass(frozen=True)
class Window:
    """A consent opens a vital to an app."""

    vital: str
    consent: UUID
    revision: int
    purpose: str
    opens_at: int


class Released(NamedTuple):
    """A reading and the consent under which it is released."""

    reading: Observation
    consent: UUID
    revision: int


@dataclass(frozen=True)
class Page:
    """A page of Observations.

    Attributes:
        groups: what is shown together as one Observation, in order.
        released: every reading on the page, with its consent.
        last: place of the last one when there are more, else None.
    """

    groups: Sequence[Sequence[Observation]]
    released: Sequence[Released]
    last: ObservationPlace | None


@dataclass(frozen=True, kw_only=True)
class Query:
    """What to look for.

    Attributes:
        app: who asks.
        subject_key: about whom.
        subject: the same, by name.
        vitals: canonical LOINC codes.
        span: of ``effective_at``.
        count: most Observations.
        newest_first: the order.
        after: place to go on from, or None.
    """

    app: str
    subject_key: int
    subject: str
    vitals: frozenset[str]
    span: Span
    count: int
    newest_first: bool
    after: ObservationPlace | None


def windows(connection: Connection[Any], query: Query) -> list[Window]:
    """Give the consents that hold now and open any of the vitals asked for."""
    parameters = {"app": query.app, "subject": query.subject_key, "codes": list(query.vitals)}
    return [
        Window(code, consent, revision, purpose, from_datetime(opens_at))
        for code, consent, revision, purpose, opens_at in connection.execute(_WINDOWS, parameters).fetchall()
    ]


def page(connection: Connection[Any], query: Query, open_windows: Sequence[Window], now: int) -> Page:
    """Read a page.

    Args:
        connection: as the gateway, in a transaction that was begun for it.
        query: what to look for.
        open_windows: not empty; they bound the search in time, the query itself asks the consents again.
        now: the present, microseconds.
    """
    span = _bounded(query.span.both(Span(start=min(window.opens_at for window in open_windows))), query)
    largest_correction = _largest_correction(connection)
    found = Page((), (), None)
    with connection.cursor(row_factory=dict_row) as cursor:
        # The policy is asked for each reading: with few consents the planner would read them all each time, at 20 times the cost.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL ROLE agora_app_query")
        cursor.execute("SELECT set_config('agora.app', %s, true)", [query.app])
        for part in _widening(span, query.newest_first, now):
            rows = cursor.execute(_statement(query), _parameters(query, part, largest_correction)).fetchall()
            found = _page(rows, query)
            if found.last is not None:
                break
        cursor.execute("SET LOCAL ROLE NONE")
    return found


def still_hold(connection: Connection[Any], query: Query, used: Iterable[tuple[UUID, int]]) -> bool:
    """Tell whether consents still hold in the revision they had, right before what they allowed is sent."""
    wanted = set(used)
    for consent, revision in wanted:
        row = connection.execute(
            "SELECT FROM active_consents WHERE app = %s AND subject_key = %s AND consent = %s AND revision = %s",
            [query.app, query.subject_key, consent, revision],
        ).fetchone()
        if row is None:
            return False
    return True


def _widening(span: Span, newest_first: bool, now: int) -> Iterator[Span]:
    """Look near the beginning of the order first: planning a query over a year of chunks costs more than running it over a few.

    A page that is full within a part is the page of the whole, since the parts begin where the order does.
    """
    for width in FIRST_WIDTHS:
        begins = min(span.end, now + DAY) if newest_first else span.start
        part = span.both(Span(start=begins - width) if newest_first else Span(end=begins + width))
        if part == span:
            break
        yield part
    yield span


def _largest_correction(connection: Connection[Any]) -> int:
    row = connection.execute(_LARGEST_CORRECTION).fetchone()
    return 0 if row is None else int(row[0])


def _bounded(span: Span, query: Query) -> Span:
    """Leave out what lies before the cursor, so that the index need not be walked up to it."""
    if query.after is None:
        return span
    at = query.after.effective_at
    return span.both(Span(end=at + 1) if query.newest_first else Span(start=at))


def _statement(query: Query) -> LiteralString:
    order: LiteralString = "DESC" if query.newest_first else "ASC"
    than: LiteralString = "<" if query.newest_first else ">"
    beyond: LiteralString = "" if query.after is None else _BEYOND.format(than=than)
    return _PAGE.format(order=order, beyond=beyond)


def _parameters(query: Query, span: Span, largest_correction: int) -> dict[str, Any]:
    codes = sorted(query.vitals)
    together = max((len(panel.components) for code in codes if (panel := panel_of(code))), default=1)
    # A day beyond what is recorded: a correction that was taken back may not have reached every row yet.
    margin = largest_correction + DAY
    parameters: dict[str, Any] = {
        "app": query.app,
        "subject": query.subject_key,
        "codes": codes,
        "groups": [_member_of(code) for code in codes],
        "start": to_datetime(span.start),
        "end": to_datetime(max(span.end, span.start)),
        "device_start": to_datetime(max(span.start - margin, EARLIEST)),
        "device_end": to_datetime(min(max(span.end, span.start) + margin, LATEST)),
        # One Observation more than a page tells that there is a next one, and that the last one of this page is whole.
        "most_each": query.count + 1,
        "most": (query.count + 1) * together,
    }
    if query.after is not None:
        place = query.after
        parameters |= {
            "at_effective": to_datetime(place.effective_at),
            "at_device": place.device_key,
            "at_site": place.site_key,
            "at_device_time": to_datetime(place.device_time),
            "at_sequence": place.sequence,
            "at_member_of": place.group,
        }
    return parameters


def _member_of(code: str) -> int:
    """Give the number of what is shown together: components of a panel have their panel's."""
    panel = panel_of(code)
    return _VITAL_NUMBERS[code] if panel is None else _PANEL_NUMBERS[panel.code]


def _page(rows: Sequence[dict[str, Any]], query: Query) -> Page:
    released = {}
    places = {}
    for row in rows:
        reading = _reading(row, query.subject)
        released[reading.id] = Released(reading, row["consent"], row["revision"])
        places[reading.id] = ObservationPlace(
            reading.effective_at, row["device_key"], row["site_key"], reading.device_time, reading.sequence, row["member_of"]
        )
    groups = group(one.reading for one in released.values())
    shown = groups[: query.count]
    last = places[shown[-1][0].id] if len(groups) > query.count else None
    return Page(shown, [released[reading.id] for members in shown for reading in members], last)


def _reading(row: dict[str, Any], subject: str) -> Observation:
    device_time = from_datetime(row["device_time"])
    return Observation(
        id=observation_id(row["org"], row["device"], row["code"], row["site"], device_time, row["sequence"]),
        org=row["org"],
        device=row["device"],
        subject=subject,
        vital=row["code"],
        site=row["site"],
        value=row["value"],
        unit=BY_CODE[row["code"]].unit,
        device_time=device_time,
        effective_at=from_datetime(row["effective_at"]),
        received_at=from_datetime(row["received_at"]),
        sequence=row["sequence"],
        quality=row["quality"],
    )
