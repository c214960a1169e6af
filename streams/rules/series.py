"""Series: what one device measures of one vital at one site. Each is judged for itself, and few are remembered.

Two sensors on one person often disagree: one has slipped off the finger. Were they one series, the one that reads normal would
take back what the other tells.
"""

from __future__ import annotations

from contracts.observation import Observation
from streams.rules.state import MAX_EPISODES, MAX_HELD, MAX_SERIES, FlagState, OpenAlert, SideState


def series_of(observation: Observation) -> str:
    """Name the series of a reading within its subject and vital: ``<org>/<device>/<site>``."""
    return f"{observation.org}/{observation.device}/{observation.site}"


def holder(state: FlagState, alert: OpenAlert) -> SideState | None:
    """Find the series whose readings move an alert; None for an alert about the past, which only a person ends."""
    held = state.series.get(alert.series, {}).get(alert.rule) if alert.series else state.unclaimed.get(alert.rule)
    return held if held is not None and held.alert == alert.alert else None


def crowded_out(state: FlagState, series: str, key: str) -> tuple[str, str] | None:
    """Choose whose memory must go before one more series is judged by a side.

    Args:
        state: the subject's.
        series: that is new.
        key: of the side.

    Returns:
        Series and side to forget, None where there is room. Those without an open alert go first, then those of the new one's own
        device, so that one which names a new site each time does not silence another; then the stalest.
    """
    known = [(name, key) for name, sides in state.series.items() if key in sides]
    if len(known) < MAX_SERIES:
        known = [(name, side) for name, sides in state.series.items() for side in sides]
        if len(known) < MAX_HELD:
            return None
    own = series[: series.rindex("/") + 1]

    def worth(place: tuple[str, str]) -> tuple[bool, bool, int, tuple[str, str]]:
        held = state.series[place[0]][place[1]]
        return bool(held.alert), not place[0].startswith(own), held.last_at, place

    return min(known, key=worth)


def forget(state: FlagState, series: str, key: str) -> SideState:
    """Take a series away from a side, and give what was remembered of it."""
    held = state.series[series].pop(key)
    if not state.series[series]:
        del state.series[series]
    return held


def begin(state: FlagState, series: str, key: str) -> SideState:
    """Remember one more series of a side; there is room (``crowded_out``).

    What a version before series left is taken over by the first that measures: nearly always the only one.
    """
    held = state.unclaimed.pop(key, None)
    if held is None:
        held = SideState()
    alert = state.alerts.get(held.alert)
    if alert is not None:
        alert.series = series
    state.series.setdefault(series, {})[key] = held
    return held


def end_episode(held: SideState, last: int) -> None:
    """Remember that a time outside the limits is over and judged.

    Args:
        held: the series; changed in place. Nothing happens where it was not outside.
        last: last instant of which that time speaks, microseconds.
    """
    if held.outside_since is not None:
        held.episodes = (*held.episodes, (held.outside_since, last))[-MAX_EPISODES:]
        held.outside_since = None


def was_judged(held: SideState, at: int) -> bool:
    """Tell whether an instant lies in a time outside the limits that is over and judged."""
    return any(first <= at <= last for first, last in held.episodes)
