"""The ingest's OpenAPI document, fuzzed: no server error, no answer that the document does not tell; and what it says
is valid is accepted, so that the requests reach further than the judging.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from streams.doors.ingest.application import application
from streams.doors.ingest.modes import BATCH, BINARY, STRUCTURED
from streams.doors.ingest.openapi import document
from tests.gateway.fakes import MemoryBackend

BACKEND = MemoryBackend()
KEY = BACKEND.new_key("acme").text
APPLICATION: Any = application(BACKEND, 8 * 1024 * 1024)
DOCUMENT = schemathesis.openapi.from_asgi("/openapi.json", APPLICATION)
HEALTH = list(HealthCheck)
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
]


@DOCUMENT.parametrize()
@settings(max_examples=30, deadline=None, suppress_health_check=HEALTH)
def test_whatever_is_sent_the_answer_is_as_documented(case: Any) -> None:
    case.call_and_validate(checks=CHECKS, headers={"authorization": f"Bearer {KEY}"})


PAST = "past"
"""The format of instants that have been: U6 takes none from the future, which no schema can say."""
schemathesis.openapi.format(
    PAST,
    st.datetimes(datetime(2000, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC)).map(datetime.isoformat),  # noqa: DTZ001
)


def narrowed(media_type: str) -> Any:
    """The document with what it cannot say: the key's workspace, times that have been, the headers of binary mode."""
    made = copy.deepcopy(document())
    schemas, post = made["components"]["schemas"], made["paths"]["/v1/events"]["post"]
    schemas["InteractionEvent"]["properties"]["time"] = {"type": "string", "format": PAST}
    schemas["InteractionData"]["properties"]["workspace"] = {"const": "acme"}
    schemas["InteractionData"]["properties"]["chars"] = {"enum": [0, 7, None]}  # a schema's integers may be 10.0
    post["requestBody"]["content"] = {media_type: post["requestBody"]["content"][media_type]}
    for parameter in post["parameters"]:
        parameter["required"] = media_type == BINARY
        if parameter["name"] == "ce-time":
            parameter["schema"] = {"type": "string", "format": PAST}
    schema: Any = schemathesis.openapi.from_dict(made)
    schema.app = APPLICATION
    return schema["/v1/events"]["POST"]


@pytest.mark.parametrize("media_type", [STRUCTURED, BATCH, BINARY])
def test_what_the_document_says_is_valid_is_accepted_and_stands_in_the_log(media_type: str) -> None:
    answers: Counter[int] = Counter()
    before = len(BACKEND.values())

    @given(case=narrowed(media_type).as_strategy(generation_mode=GenerationMode.POSITIVE))
    @settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=HEALTH)
    def send(case: Any) -> None:
        response = case.call_and_validate(checks=CHECKS, headers={"authorization": f"Bearer {KEY}"})
        answers[response.status_code] += 1

    send()
    assert answers[200] >= 0.5 * answers.total(), answers
    taken = BACKEND.values()[before:]
    assert len(taken) >= answers[200]
    assert {json.loads(value)["data"]["workspace"] for value in taken} == {"acme"}


def test_the_document_tells_every_path_that_takes_or_judges_events() -> None:
    assert set(DOCUMENT.raw_schema["paths"]) == {"/v1/events", "/health", "/ready"}
