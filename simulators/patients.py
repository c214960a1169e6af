"""What recorded and synthetic patients have in common: home devices, each with its own stream of messages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from catalogue.device import MODEL_BY_NAME
from catalogue.registry import BY_CODE
from contracts.ids import device_key
from simulators.messages import DueMessage, PanelReading, Reading

MODELS = ("agora-oximeter", "agora-cuff", "agora-thermometer", "agora-respiration-sensor", "agora-scale")
"""Device models of the catalogue that the simulators play."""
MODEL_OF_VITAL: Mapping[str, str] = {code: model for model in MODELS for code in MODEL_BY_NAME[model].vitals}
"""Which of them measures a vital."""


class Patient(Protocol):
    """Somebody whose devices can be played."""

    @property
    def name(self) -> str:
        """A name of the platform's alphabet, the same on each run."""

    @property
    def models(self) -> tuple[str, ...]:
        """Models of the devices at home, each once, in the order of ``MODELS``."""

    def messages(self, model: str, start: int, speed: float) -> Iterator[DueMessage]:
        """Play one device.

        Args:
            model: one of ``models``; any other gives nothing.
            start: microseconds, when the playing starts.
            speed: seconds of the patient's time in one second, above 0.

        Returns:
            Messages in the order of their ``due``, none before ``start``.
        """


@dataclass(frozen=True, slots=True)
class PlannedDevice:
    """A device to enrol before a patient can be played.

    Attributes:
        device: proposed name within the organisation.
        model: model name of the catalogue.
        patient: name of the patient who gets it.
    """

    device: str
    model: str
    patient: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCredential:
    """What enrolment gave for one device: an entry of the credentials file.

    Attributes:
        org: organisation.
        device: device name within it.
        model: model name of the catalogue.
        password: of the broker; kept out of ``repr``.
        subject: who has the device on loan, empty when nobody has.
    """

    org: str
    device: str
    model: str
    password: str
    subject: str = ""

    def __repr__(self) -> str:
        """Show which device, never the password."""
        return f"DeviceCredential({self.key}, {self.model})"

    @property
    def key(self) -> str:
        """``<org>/<device>``: the user name at the broker, and the key of ``Fleet``'s mappings."""
        return device_key(self.org, self.device)


def devices_for(patient: Patient) -> list[PlannedDevice]:
    """Tell which devices a patient needs.

    Args:
        patient: recorded or synthetic.

    Returns:
        One device for each model, named after patient and model, as ``mimic-20044587-oximeter``.
    """
    return [PlannedDevice(f"{patient.name}-{model.removeprefix('agora-')}", model, patient.name) for model in patient.models]


def sources_for(
    patient: Patient, credentials: Iterable[DeviceCredential], start: int, speed: float
) -> dict[str, Iterator[DueMessage]]:
    """Let a patient play on the devices of one subject.

    Args:
        patient: recorded or synthetic.
        credentials: the subject's devices; of a model the patient does not use, nothing is sent.
        start: as in ``Patient.messages``.
        speed: as in ``Patient.messages``.

    Returns:
        For each device's key, what it is to send.
    """
    return {one.key: patient.messages(one.model, start, speed) for one in credentials if one.model in patient.models}


def cast(
    patients: Sequence[Patient], credentials: Iterable[DeviceCredential], start: int, speed: float
) -> dict[str, Iterator[DueMessage]]:
    """Give each subject a patient to play, in the order in which both are listed.

    Args:
        patients: the roles; those beyond the number of subjects stay out.
        credentials: devices, each on loan to a subject; those on loan to nobody stay silent.
        start: as in ``Patient.messages``.
        speed: as in ``Patient.messages``.

    Returns:
        For each device's key, what it is to send.
    """
    by_subject: dict[tuple[str, str], list[DeviceCredential]] = {}
    for one in credentials:
        if one.subject:
            by_subject.setdefault((one.org, one.subject), []).append(one)
    sources: dict[str, Iterator[DueMessage]] = {}
    for patient, devices in zip(patients, by_subject.values(), strict=False):
        sources |= sources_for(patient, devices, start, speed)
    return sources


def grouped(readings: Iterable[Reading]) -> tuple[Reading | PanelReading, ...]:
    """Tie readings of one moment together: components of a panel that share a site become one panel.

    Args:
        readings: of one device and moment, none twice.

    Returns:
        Plain readings and panels, in the order of first appearance. A lone component stays a plain reading.
    """
    groups: dict[tuple[str, str], list[Reading]] = {}
    for one in readings:
        panel = BY_CODE[one.code].panel
        groups.setdefault((panel or one.code, one.site), []).append(one)
    found: list[Reading | PanelReading] = []
    for (code, site), members in groups.items():
        if len(members) > 1:
            found.append(PanelReading(code, tuple(members), site))
        else:
            found += members
    return tuple(found)
