"""Asks the gateway for the newest heart rates of each patient who shares them with an app."""

import os
import ssl

import httpx

trust = ssl.create_default_context(cafile=os.environ["APP_CA_FILE"])
login = (os.environ["APP_CLIENT_ID"], os.environ["APP_CLIENT_SECRET"])
with httpx.Client(base_url=os.environ["APP_GATEWAY"], verify=trust) as gateway:
    answer = gateway.post("/oauth/token", auth=login, data={"grant_type": "client_credentials"}).raise_for_status()
    gateway.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    for entry in gateway.get("/fhir/Patient").raise_for_status().json().get("entry", []):
        patient = entry["resource"]["id"]
        asked = {"patient": patient, "code": "http://loinc.org|8867-4", "_count": "10"}
        found = gateway.get("/fhir/Observation", params=asked).raise_for_status().json()
        print(f"Patient/{patient}: {len(found.get('entry', []))} heart rates")  # noqa: T201
        for reading in (entry["resource"] for entry in found.get("entry", [])):
            print(reading["effectiveDateTime"], reading["valueQuantity"]["value"], "/min")  # noqa: T201
