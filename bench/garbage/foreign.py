"""Messages of other schemas that a device might be made for: each valid in its own, none of them Agora's. Pure."""

from __future__ import annotations

import json

_FHIR = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
    "effectiveDateTime": "2026-11-22T10:00:00Z",
    "valueQuantity": {"value": 72, "unit": "beats/minute", "system": "http://unitsofmeasure.org", "code": "/min"},
}
_OPEN_MHEALTH = {
    "header": {"id": "1", "schema_id": {"namespace": "omh", "name": "heart-rate", "version": "2.0"}},
    "body": {"heart_rate": {"value": 72, "unit": "beats/min"}, "effective_time_frame": {"date_time": "2026-11-22T10:00:00Z"}},
}
_SENML = [{"bn": "urn:dev:mac:1:", "n": "heart", "u": "beat/min", "v": 72, "t": 1.764e9}]
_CLOUD_EVENT = {
    "specversion": "1.0",
    "type": "org.agora.reading",
    "source": "/d",
    "id": "1",
    "time": "2026-11-22T10:00:00Z",
    "data": {},
}
_SPARKPLUG = {"timestamp": 1764064800000, "metrics": [{"name": "hr", "dataType": "Int32", "value": 72}], "seq": 1}
_DITTO = {"topic": "org/d/things/twin/commands/modify", "path": "/features/heart/properties/value", "value": 72}
_THINGSBOARD = {"ts": 1764064800000, "values": {"heartRate": 72}}
_GEOJSON = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [8.5, 47.4]}, "properties": {}}
_HOME_ASSISTANT = {
    "device_class": "temperature",
    "state_topic": "x",
    "unit_of_measurement": "°C",
    "value_template": "{{ value }}",
}
_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"value": {"type": "number"}},
}
_JSON_RPC = {"jsonrpc": "2.0", "method": "reading", "params": [72], "id": 1}

FOREIGN: tuple[bytes, ...] = tuple(
    json.dumps(one).encode()
    for one in (
        _FHIR, _OPEN_MHEALTH, _SENML, _CLOUD_EVENT, _SPARKPLUG, _DITTO, _THINGSBOARD, _GEOJSON, _HOME_ASSISTANT, _SCHEMA,
        _JSON_RPC,
    )
)  # fmt: skip
"""One message each."""
