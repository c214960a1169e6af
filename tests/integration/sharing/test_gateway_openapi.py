"""The gateway against its own OpenAPI description: whatever is sent, it answers as described and never breaks."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from deploy.local.stack import Stack
from tests.support.gateway_world import World, bearer, operator_headers, token_of

CHECKS = (not_a_server_error, response_schema_conformance, content_type_conformance)
OPERATIONS = 13
EXAMPLES = 8


@pytest.mark.timeout(300)
def test_every_operation_answers_as_described(gateway: Stack, world: World, client: httpx.Client) -> None:
    app = world.app()
    world.consent(world.subject(), app, "8867-4")
    operator = gateway.settings("operator")
    description = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    description.config.update(base_url=operator["AGORA_GATEWAY_PUBLIC_URL"])
    as_app, as_operator = bearer(token_of(client, app)), operator_headers(gateway)

    def holds(operation: Any) -> None:
        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def answers(case: Any) -> None:
            headers = as_operator if case.path.startswith("/api") else as_app
            case.call_and_validate(checks=CHECKS, headers=headers, verify=operator["AGORA_CA_FILE"])

        answers()

    operations = [result.ok() for result in description.get_all_operations()]
    for operation in operations:
        holds(operation)
    assert len(operations) >= OPERATIONS
