"""Asks the gateway for the newest heart rates that patients share with an app."""

import os
import ssl

import httpx

trust = ssl.create_default_context(cafile=os.environ["APP_CA_FILE"])
with httpx.Client(base_url=os.environ["APP_GATEWAY"], verify=trust) as gateway:
    login = (os.environ["APP_CLIENT_ID"], os.environ["APP_CLIENT_SECRET"])
    token = gateway.post("/oauth/token", auth=login, data={"grant_type": "client_credentials"}).raise_for_status().json()
    found = gateway.get(
        "/fhir/Observation",
        params={"code": "http://loinc.org|8867-4", "_count": "10"},
        headers={"Authorization": f"Bearer {token['access_token']}"},
    ).raise_for_status()
for entry in found.json().get("entry", []):
    reading = entry["resource"]
    value = reading["valueQuantity"]
    print(reading["effectiveDateTime"], reading["subject"]["reference"], value["value"], value["unit"])  # noqa: T201
