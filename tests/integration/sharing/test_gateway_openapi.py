"""The gateway against its own OpenAPI description: whatever is sent, it answers as described and never breaks."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from deploy.local.stack import Stack
from tests.support.gateway_world import World, client_of, operator_headers, token_of

CHECKS = (not_a_server_error, response_schema_conformance, content_type_conformance)
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def description(gateway: Stack, client: httpx.Client) -> Any:
    made = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    made.config.update(base_url=gateway.settings("operator")["AGORA_GATEWAY_PUBLIC_URL"])
    return made


@pytest.fixture
def app_token(world: World, gateway: Stack) -> str:
    app = world.app()
    world.consent(world.subject(), app, "8867-4")
    with client_of(gateway) as client:
        return token_of(client, app)


schema = schemathesis.pytest.from_fixture("description")


@schema.parametrize()  # type: ignore[untyped-decorator]
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_described(case: Any, gateway: Stack, app_token: str) -> None:
    operator = gateway.settings("operator")
    headers = operator_headers(gateway) if case.path.startswith("/api") else {"Authorization": f"Bearer {app_token}"}

    case.call_and_validate(checks=CHECKS, headers=headers, verify=operator["AGORA_CA_FILE"])
