import asyncio
import json
from dataclasses import asdict

import httpx
import pytest

from bench.chain import audience
from bench.chain.runs import Lost
from bench.chain.searcher import Plan, Searcher

PLAN = Plan("https://localhost", "", "an-app", "a-secret", shared="8867-4", unshared="59408-5", rate=200.0)


def gateway(status: int, body: dict[str, object]) -> httpx.MockTransport:
    """Make a gateway that gives tokens and one patient, and answers each search alike."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/token":
            return httpx.Response(200, json={"access_token": "a-token", "expires_in": 300})
        if request.url.path == "/fhir/Patient":
            return httpx.Response(200, json={"entry": [{"resource": {"id": "a-patient"}}]})
        return httpx.Response(status, json=body)

    return httpx.MockTransport(answer)


async def reported(transport: httpx.MockTransport) -> dict[str, object]:
    """Ask for a moment, and give the report as the other process reads it."""
    stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with httpx.AsyncClient(base_url=PLAN.gateway, transport=transport) as client:
        searcher = Searcher(PLAN, client)
        await searcher.prepare()
        asyncio.get_running_loop().call_later(0.1, stop.set_result, "stop")
        await searcher.ask_until(stop)
    found: dict[str, object] = json.loads(json.dumps(asdict(searcher.answered)))
    return found


async def test_a_refused_search_reaches_the_report_and_fails_the_run() -> None:
    with pytest.raises(Lost, match=r"\d+ × 429 throttled"):
        audience.check_searches(await reported(gateway(429, {"issue": [{"code": "throttled"}]})))


async def test_an_answer_about_another_patient_reaches_the_report_and_fails_the_run() -> None:
    entry = {
        "resource": {
            "subject": {"reference": "Patient/another"},
            "code": {"coding": []},
            "effectiveDateTime": "2026-11-25T10:00:00Z",
        }
    }
    with pytest.raises(Lost, match="an Observation of another patient was answered"):
        audience.check_searches(await reported(gateway(200, {"entry": [entry]})))
