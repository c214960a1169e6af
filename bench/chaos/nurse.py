"""Somebody who takes alerts in hand meanwhile, by the gateway and Kafka, and whether each word that was taken is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from psycopg import Connection

from contracts.alerts import Transition
from contracts.errors import Unavailable
from sharing.gateway.operator_client import NotDone, OperatorClient
from sharing.gateway.settings import OperatorClientSettings

EACH_SECONDS = 2.0
LOOKED_AT = 50
NAME = "chaos-nurse"


class Nurse:
    """Acknowledges an open alert every few seconds.

    Attributes:
        taken: ids of the alerts about which her word was taken (202).
        refused: how often it was not, since the gateway, the database or Kafka was away.
    """

    def __init__(self, settings: OperatorClientSettings) -> None:
        """Prepare it.

        Args:
            settings: where the gateway is.
        """
        self.taken: set[str] = set()
        self.refused = 0
        self._settings = settings

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.to_thread(self._act)
            await asyncio.sleep(EACH_SECONDS)

    def _act(self) -> None:
        """Say a word about the newest alert about which none was said; about the newest, where there is none."""
        try:
            with OperatorClient(self._settings) as client:
                found = [str(one.alert) for one in client.alerts(None, only_open=True, limit=LOOKED_AT)]
                alert = next((one for one in found if one not in self.taken), found[0] if found else None)
                if alert is not None:
                    client.acknowledge(alert, NAME, "")
                    self.taken.add(alert)
        except Unavailable:
            self.refused += 1
        except NotDone:
            pass  # resolved since


def acknowledgements(connection: Connection[Any]) -> tuple[set[str], set[str]]:
    """Read the alerts that the nurse acknowledged, and those that are resolved.

    Args:
        connection: as a role that reads alerts.
    """
    rows = connection.execute(
        "SELECT alert::text, transition FROM alert_transitions WHERE transition = %s OR (transition = %s AND actor = %s)",
        [Transition.RESOLVED, Transition.ACKNOWLEDGED, NAME],
    ).fetchall()
    return (
        {alert for alert, kind in rows if kind == Transition.ACKNOWLEDGED},
        {alert for alert, kind in rows if kind == Transition.RESOLVED},
    )


def judge_words(taken: Collection[str], acknowledged: Collection[str], resolved: Collection[str]) -> tuple[Sequence[str], int]:
    """Compare the words that were taken with what stands in the table. Pure.

    A word can come too late: where the reading that resolves its alert was judged before, there is nothing to acknowledge.

    Args:
        taken: alerts about which a word was taken.
        acknowledged: those that it acknowledged.
        resolved: those that are resolved.

    Returns:
        Which words are lost, and how many came too late.
    """
    silent = set(taken) - set(acknowledged)
    return sorted(silent - set(resolved)), len(silent & set(resolved))


def words_hold(taken: int, lost: int, late: int) -> bool:
    """Tell whether no word is lost, and most did not come too late: else the run shows nothing about them."""
    return not lost and 2 * late <= taken
