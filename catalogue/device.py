"""Device models: which streams they publish, in which format, how often; one entry each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class DeviceModel:
    """One model of device.

    Attributes:
        name: model name, as registered devices refer to it.
        display: for people.
        streams: from stream name (last level of the MQTT topic) to format name (``catalogue.formats``).
        vitals: canonical LOINC codes it measures, for documentation and simulation; others are accepted too.
        cadence_seconds: how often a reading is expected, seconds.
        late_after_seconds: how long after measuring a reading may arrive before it counts as late, seconds.
        source: the manual.
    """

    name: str
    display: str
    streams: Mapping[str, str]
    vitals: tuple[str, ...]
    cadence_seconds: float
    late_after_seconds: float = 300.0
    source: str


AGORA_JSON = "agora-json"
_JSON_STREAMS: Mapping[str, str] = MappingProxyType({"vitals": AGORA_JSON})

MODELS: tuple[DeviceModel, ...] = (
    DeviceModel(
        name="agora-generic",
        display="Any device that speaks Agora's own JSON",
        streams=_JSON_STREAMS,
        vitals=(),
        cadence_seconds=3600.0,
        source="docs/reference/device-format.md",
    ),
    DeviceModel(
        name="agora-oximeter",
        display="Simulated pulse oximeter",
        streams=_JSON_STREAMS,
        vitals=("59408-5", "8867-4"),
        cadence_seconds=60.0,
        source="simulators",
    ),
    DeviceModel(
        name="agora-cuff",
        display="Simulated blood pressure cuff",
        streams=_JSON_STREAMS,
        vitals=("8480-6", "8462-4", "8478-0"),
        cadence_seconds=1800.0,
        source="simulators",
    ),
    DeviceModel(
        name="agora-thermometer",
        display="Simulated thermometer",
        streams=_JSON_STREAMS,
        vitals=("8310-5",),
        cadence_seconds=3600.0,
        source="simulators",
    ),
    DeviceModel(
        name="agora-respiration-sensor",
        display="Simulated respiration sensor",
        streams=_JSON_STREAMS,
        vitals=("9279-1",),
        cadence_seconds=60.0,
        source="simulators",
    ),
    DeviceModel(
        name="agora-scale",
        display="Simulated scale",
        streams=_JSON_STREAMS,
        vitals=("29463-7",),
        cadence_seconds=86400.0,
        source="simulators",
    ),
)
MODEL_BY_NAME: Mapping[str, DeviceModel] = MappingProxyType({model.name: model for model in MODELS})
