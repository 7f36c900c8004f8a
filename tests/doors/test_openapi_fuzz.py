"""The OpenAPI document against the account API, by Schemathesis: no 5xx, no answer that is not documented, and each
command obeyed too, in an account where there is an occasion for it.
"""

from __future__ import annotations

from collections import Counter as Tally
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from schemas.signin import Person, issue
from streams.doors.accounts.kinds import KINDS
from streams.requests.desk import Desk
from tests.accounts.story import Story
from tests.accounts.test_matrix import ACCEPTED, founded
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


OCCASIONS = {
    type(body): (body, sorted(states)[0]) for body, states in reversed(ACCEPTED) if states
}  # each kind with a body, and an account in which it is obeyed
PERSONS = {"accept_invitation": "ann", "request_upgrade": "ben"}  # all others may be given by an operator
COUNTER = Counter()
ANYWHERE: Any = schemathesis.openapi.from_asgi("/openapi.json", COUNTER.application())
NEVER_HERE = {"admit_late"}  # needs an event that came late, which no command makes
TOKENS = {
    name: issue(Person(name, "operator" if name == "op" else "user"), KEY, datetime.now(UTC), timedelta(hours=1))
    for name in ("op", *PERSONS.values())
}


def answers_to(kind: str, steering: int) -> Tally[int]:
    """Statuses of some commands of a kind: as they come (0); to the account that is there, and what it has (1); that
    and nothing else (2)."""
    sample, state = OCCASIONS[KINDS[kind]]
    fields = {name: value for name, value in msgspec.to_builtins(sample).items() if name != "kind"}
    answers = Tally[int]()
    operation = ANYWHERE[f"/v1/workspaces/{{workspace}}/commands/{kind}"]["POST"]

    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    @settings(max_examples=2, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def give(case: Any) -> None:
        COUNTER.story, COUNTER.desk = Story() if state == "nothing" else founded(state), Desk()
        if steering:
            case.path_parameters = {"workspace": "acme"}
            case.body = {**(case.body if steering == 1 else {}), **fields}
        token = TOKENS[PERSONS.get(kind, "op")]
        answer = case.call_and_validate(
            headers={"Authorization": f"Bearer {token}"}, excluded_checks=[positive_data_acceptance]
        )
        answers[answer.status_code] += 1

    give()
    return answers


@pytest.mark.parametrize("kind", sorted(set(KINDS) - NEVER_HERE))
def test_each_command_is_obeyed_where_there_is_an_occasion_and_answered_as_documented(kind: str) -> None:
    counted = [answers_to(kind, steering) for steering in (0, 1, 2)]
    assert set(counted[2]) == {200}, counted


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
