"""The platform that a run loads: known to its operator, and reached as devices reach it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg

from bench.enrolling import Wanted, enrol
from cli import operator
from deploy.local.view import View
from runtime.settings import DatabaseSettings, KafkaSettings
from simulators.connection import BrokerAddress
from simulators.patients import DeviceCredential
from storage.ledger import Closing, settle

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """A platform that is up.

    Attributes:
        view: of the instance.
        database: as operator.
        kafka: as operator.
    """

    view: View
    database: DatabaseSettings
    kafka: KafkaSettings

    @classmethod
    def of(cls, view: View) -> Target:
        """Know an instance by the settings that were written for its operator."""
        values = view.settings("operator")
        return cls(view, operator.settings(DatabaseSettings, values), operator.settings(KafkaSettings, values))

    @property
    def broker(self) -> BrokerAddress:
        """Where devices connect."""
        return BrokerAddress("localhost", self.view.instance.ports.mqtt, self.view.instance.certificates / "ca.pem")

    def enrol(self, org: str, wanted: Sequence[Wanted], tell: Tell) -> dict[str, DeviceCredential]:
        """Enrol the run's devices, as ``bench.enrolling.enrol``."""
        with psycopg.connect(self.database.conninfo(), autocommit=True) as connection:
            return enrol(connection, org, wanted, tell)

    async def settle(self, seconds: float) -> Closing:
        """Wait until all that came is in the database, as ``storage.ledger.settle``."""
        return await settle(self.database, self.kafka, seconds)
