"""Which devices a patient needs, and who plays whom."""

from __future__ import annotations

from itertools import islice

from simulators.patients import MODELS, DeviceCredential, PlannedDevice, cast, devices_for, sources_for
from simulators.synthetic import make_patients


def device(name: str, model: str, subject: str) -> DeviceCredential:
    return DeviceCredential(org="clinic", device=name, model=model, password="p", subject=subject)


def test_a_synthetic_patient_has_one_device_of_each_model() -> None:
    (patient,) = make_patients(1, seed=3)
    assert devices_for(patient)[0] == PlannedDevice("synthetic-3-0-oximeter", "agora-oximeter", "synthetic-3-0")
    assert tuple(planned.model for planned in devices_for(patient)) == MODELS


def test_subjects_get_patients_in_order_and_their_devices_play_the_same_one() -> None:
    patients = make_patients(2)
    devices = [
        device("a", "agora-oximeter", "s-1"),
        device("b", "agora-oximeter", "s-2"),
        device("c", "agora-cuff", "s-1"),
        device("d", "agora-oximeter", "s-3"),
        device("e", "agora-oximeter", ""),
        device("f", "agora-generic", "s-1"),
    ]
    sources = cast(patients, devices, start=0, speed=60)
    assert set(sources) == {"clinic/a", "clinic/b", "clinic/c"}
    assert list(islice(sources["clinic/b"], 3)) == list(islice(patients[1].messages("agora-oximeter", 0, 60), 3))
    assert list(islice(sources["clinic/c"], 3)) == list(islice(patients[0].messages("agora-cuff", 0, 60), 3))


def test_one_patient_can_be_given_to_chosen_devices() -> None:
    (patient,) = make_patients(1)
    assert set(sources_for(patient, [device("a", "agora-scale", "")], start=0, speed=1)) == {"clinic/a"}
