"""FHIR R4: how an app sees readings."""
