"""Sharing: who may see what. Consents, apps, the router, FHIR, the gateway, and the record of every access."""
