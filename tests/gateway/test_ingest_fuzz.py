"""The ingest's OpenAPI document, fuzzed: no server error, no answer that the document does not tell."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from streams.doors.ingest.application import application
from tests.gateway.fakes import MemoryBackend

BACKEND = MemoryBackend()
KEY = BACKEND.new_key("acme").text
APPLICATION: Any = application(BACKEND, 8 * 1024 * 1024)
DOCUMENT = schemathesis.openapi.from_asgi("/openapi.json", APPLICATION)
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
]


@DOCUMENT.parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_sent_the_answer_is_as_documented(case: Any) -> None:
    case.call_and_validate(checks=CHECKS, headers={"authorization": f"Bearer {KEY}"})


def test_the_document_tells_every_path_that_takes_or_judges_events() -> None:
    assert set(DOCUMENT.raw_schema["paths"]) == {"/v1/events", "/health", "/ready"}
