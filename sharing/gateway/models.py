"""What the operator's API takes and gives. Frozen; unknown fields are refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from contracts.instants import from_datetime, to_datetime
from contracts.registry import ConsentRecord, Detail, Name
from sharing.consents import PURPOSE_MAX, Grant

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
MOST_ROWS = 1000
_NO_NUL = r"^[^\x00]*$"

Moment = Annotated[AwareDatetime, Field(ge=EARLIEST, le=LATEST)]
VitalCode = Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,16}$")]


class Model(BaseModel):
    """Root of these models."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ConsentGrant(Model):
    """A consent to record."""

    subject: Name = Field(description="whose readings")
    app: Name = Field(description="to whom")
    vitals: tuple[VitalCode, ...] = Field(min_length=1, max_length=100, description="LOINC codes, of panels too")
    purpose: str = Field(min_length=1, max_length=PURPOSE_MAX, pattern=_NO_NUL, description="why, in the words shown")
    history_from: Moment | None = Field(None, description="from when history may be seen; without it from the grant")
    ends_at: Moment | None = Field(None, description="when it ends by itself")
    text_shown: str | None = Field(
        None, min_length=1, max_length=20_000, pattern=_NO_NUL, description="the text the patient saw; without it Agora's own"
    )

    def asked(self) -> Grant:
        """Give it in the form in which it is recorded."""
        return Grant(
            subject=self.subject, app=self.app, vitals=self.vitals, purpose=self.purpose,
            history_from=None if self.history_from is None else from_datetime(self.history_from),
            ends_at=None if self.ends_at is None else from_datetime(self.ends_at), text_shown=self.text_shown,
        )  # fmt: skip


class Consent(Model):
    """A consent in its newest revision."""

    consent: UUID
    revision: int
    subject: str
    app: str
    vitals: tuple[str, ...]
    purpose: str
    detail: Detail
    granted_at: datetime
    history_from: datetime | None
    ends_at: datetime | None
    withdrawn_at: datetime | None

    @classmethod
    def of(cls, record: ConsentRecord) -> Consent:
        """Show a consent of the registry."""
        instants = {
            name: None if (instant := getattr(record, name)) is None else to_datetime(instant)
            for name in ("granted_at", "history_from", "ends_at", "withdrawn_at")
        }
        return cls.model_validate(
            record.model_dump(exclude={"version", *instants}) | instants | {"vitals": tuple(sorted(record.vitals))}
        )


class Consents(Model):
    """A list of consents."""

    consents: tuple[Consent, ...]


class ConsentFilter(Model):
    """Which consents to list."""

    subject: Name | None = None
    app: Name | None = None


class Alert(Model):
    """An alert as it stands."""

    alert: UUID
    org: str
    subject: str
    rule: str
    vital: str
    state: str
    severity: str
    onset: datetime
    changed_at: datetime
    number: int
    about_past: bool
    acknowledged_by: str = Field("", description="who took it in hand")
    note: str = Field("", description="and said what")


class Alerts(Model):
    """A list of alerts, the newest onset first."""

    alerts: tuple[Alert, ...]


class AlertFilter(Model):
    """Which alerts to list."""

    subject: Name | None = None
    open: bool = Field(False, description="only those that are not resolved")
    limit: int = Field(100, ge=1, le=MOST_ROWS)


class Acknowledgement(Model):
    """A person takes an alert in hand."""

    by: str = Field(min_length=1, max_length=64, pattern=_NO_NUL, description="who")
    note: str = Field("", max_length=500, pattern=_NO_NUL)


class AcknowledgementTaken(Model):
    """The word was passed on; the alert's state follows within a moment."""

    alert: UUID
    subject: str
    at: datetime


class AccessEntry(Model):
    """One row of the access log."""

    access_id: int
    at: datetime
    app: str
    channel: str
    outcome: str
    reason: str
    subject: str
    vitals: tuple[str, ...]
    period_start: datetime | None
    period_end: datetime | None
    readings: int
    purpose: str
    consent: UUID | None
    consent_revision: int | None
    request: str


class AccessLog(Model):
    """A part of the access log, the newest first."""

    accesses: tuple[AccessEntry, ...]


class AccessFilter(Model):
    """Which accesses to list."""

    subject: Name | None = None
    app: Name | None = None
    outcome: str | None = Field(None, pattern="^(released|refused|empty)$")
    before: int | None = Field(None, ge=1, le=2**63 - 1, description="only rows with a smaller access_id, to go on")
    limit: int = Field(100, ge=1, le=MOST_ROWS)


class Health(Model):
    """Whether requests can be answered."""

    status: str
