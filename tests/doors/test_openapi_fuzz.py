"""The OpenAPI document against the account API, by Schemathesis: no 5xx, and no answer that is not documented."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from schemas.signin import Person, issue
from streams.doors.accounts.kinds import KINDS
from tests.doors.counter import KEY, Counter

TOKEN = issue(Person("op", "operator"), KEY, datetime.now(UTC), timedelta(hours=1))
schema: Any = schemathesis.openapi.from_asgi("/openapi.json", Counter().application())


def test_all_commands_are_found() -> None:
    found = {result.ok().label for result in schema.get_all_operations()}
    assert {f"POST /v1/workspaces/{{workspace}}/commands/{kind}" for kind in KINDS} <= found


@schema.parametrize()  # type: ignore[untyped-decorator]  # a schema is Any here
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_documented(case: Any) -> None:
    # A command that the contract allows may still be refused by a rule.
    case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, excluded_checks=[positive_data_acceptance])


@pytest.mark.parametrize("mood", ["slow", "away"])
def test_so_are_those_of_a_slow_or_missing_broker(mood: str) -> None:
    counter = Counter()
    counter.mood = mood
    slow: Any = schemathesis.openapi.from_asgi("/openapi.json", counter.application())
    operation = slow["/v1/workspaces/{workspace}/commands/create_app"]["POST"]
    case = operation.Case(
        path_parameters={"workspace": "acme"}, headers={"Idempotency-Key": "k"}, body={"app": "bot"},
        media_type="application/json",
    )  # fmt: skip
    response = case.call_and_validate(
        headers={"Authorization": f"Bearer {TOKEN}"}, excluded_checks=[not_a_server_error]
    )
    assert response.status_code == {"slow": 202, "away": 503}[mood]
