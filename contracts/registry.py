"""What processors must know about devices, consents, apps and rules: records of the compacted registry topics.

Each carries ``version``, the number of the change in the outbox; a reader drops a record whose version is not above the one
it holds. The heartbeat (key ``_heartbeat``) says up to when the topic is complete.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

HEARTBEAT_KEY = "_heartbeat"
HEARTBEAT_SECONDS = 0.2
LEASE_SECONDS = 0.5
"""How old the newest heartbeat may be for the router to go on releasing readings (design section 5, 9)."""
WITHDRAWAL_SECONDS = 1.0
"""So long after a withdrawal was committed nothing under it is appended any more, by whatever router (design section 5, 9): the
lease of a router that has not heard of it, and the time a request needs from the socket to the log."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]


class Record(BaseModel):
    """Root of the registry's records: frozen; unknown fields tolerated, for rolling upgrades between our own stages."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    version: int = 0


class Heartbeat(Record):
    """All changes committed before ``as_of`` stand in the topic above this record.

    Attributes:
        as_of: instant in microseconds, read before the outbox was found empty.
    """

    as_of: int


class Period(BaseModel):
    """A half-open span ``[start, end)`` in microseconds; ``end`` None while it lasts."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    start: int
    end: int | None = None

    def holds(self, instant: int) -> bool:
        """Tell whether an instant lies in the span."""
        return self.start <= instant and (self.end is None or instant < self.end)


class Loan(Period):
    """A subject had the device during this span."""

    subject: str


class ClockCorrection(Period):
    """Readings with a ``device_time`` in this span are moved by ``offset`` microseconds."""

    offset: int


class DeviceRecord(Record):
    """A device as processors see it, keyed by ``<org>/<device>``.

    Attributes:
        org: organisation.
        device: name within it.
        model: of the catalogue.
        retired: whether it is out of use.
        retired_at: since when, in microseconds; what was measured before is judged by the loans. None in a record of a retired
            device from before this was said: then nothing of it is taken.
        loans: who had it, and when.
        corrections: of its clock.
    """

    org: Name
    device: Name
    model: str
    retired: bool = False
    retired_at: int | None = None
    loans: tuple[Loan, ...] = ()
    corrections: tuple[ClockCorrection, ...] = ()


class Detail(StrEnum):
    """How finely an app may see."""

    RAW = "raw"
    AGGREGATED = "aggregated"


class ConsentRecord(Record):
    """One consent as the router sees it, keyed by its id.

    Attributes:
        consent: id, text of a UUID.
        subject: whose.
        app: to whom.
        vitals: canonical LOINC codes that are shared.
        purpose: why, as the text shown said.
        detail: raw or aggregated.
        granted_at: instant of the grant, in microseconds.
        history_from: instant from which history may be seen, or None for "from the grant".
        ends_at: instant at which it ends by itself, or None.
        withdrawn_at: instant of the withdrawal, or None while active.
        revision: number of the consent's revision, 1, 2, …
    """

    consent: str
    subject: Name
    app: Name
    vitals: frozenset[str]
    purpose: str = ""
    detail: Detail = Detail.RAW
    granted_at: int
    history_from: int | None = None
    ends_at: int | None = None
    withdrawn_at: int | None = None
    revision: int = 1

    def allows(self, vital: str, effective_at: int, now: int) -> bool:
        """Decide whether one reading may be delivered (design section 5, 9).

        Args:
            vital: canonical LOINC code of the reading.
            effective_at: when it was measured, microseconds.
            now: the present, microseconds.

        Returns:
            True iff the consent is active now, covers the vital, and the reading lies between the start of history (else the
            grant) and the end.
        """
        if self.withdrawn_at is not None or vital not in self.vitals or self.detail is not Detail.RAW:
            return False
        if now < self.granted_at or (self.ends_at is not None and (now >= self.ends_at or effective_at >= self.ends_at)):
            return False
        return effective_at >= (self.granted_at if self.history_from is None else self.history_from)


class AppRecord(Record):
    """An app as processors see it, keyed by its name.

    Attributes:
        app: name, unique over the platform.
        org: organisation it belongs to.
        client_id: OAuth 2 client id.
        active: False once revoked.
        pseudonym_epoch: raised to give the app new pseudonyms.
    """

    app: Name
    org: Name
    client_id: str
    active: bool = True
    pseudonym_epoch: int = 1


class RuleRecord(Record):
    """A threshold rule, keyed by its name; ``subject`` None for everybody.

    Attributes:
        rule: name.
        vital: canonical LOINC code.
        subject: whose, or None.
        low: raise below this, canonical unit, or None.
        high: raise above this, canonical unit, or None.
        critical_low: escalate below this, or None.
        critical_high: escalate above this, or None.
        hysteresis: a value must be this far inside the limit, canonical unit, before the alert resolves.
        persistence_seconds: how long the value must stay outside before the alert is raised.
        source: where the limits come from.
        enabled: False to switch it off.
    """

    rule: Name
    vital: str
    subject: Name | None = None
    low: float | None = None
    high: float | None = None
    critical_low: float | None = None
    critical_high: float | None = None
    hysteresis: float = 0.0
    persistence_seconds: float = 0.0
    source: str = ""
    enabled: bool = True
