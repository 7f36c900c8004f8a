"""CloudEvents over HTTP, by the tables of its HTTP binding: what METER would read of each request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.interactions import decode
from streams.doors.ingest.answers import RequestRefused
from streams.doors.ingest.modes import BATCH, BINARY, MAX_EVENTS, STRUCTURED, values_of

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/gateways/web-1",
    "type": "quarterhour.message.v1",
    "time": "2026-01-31T09:00:00Z",
    "data": {"workspace": "acme", "app": "helper", "channel": "web", "user": "u1", "direction": "inbound"},
}
HEADERS = [(f"ce-{name}", value) for name, value in EVENT.items() if name != "data"]
DATA = json.dumps(EVENT["data"]).encode()


@pytest.mark.parametrize("content_type", [STRUCTURED, STRUCTURED.upper(), f"{STRUCTURED}; charset=UTF-8"])
def test_structured_mode_is_passed_on_byte_for_byte(content_type: str) -> None:
    body = json.dumps(EVENT, indent=3).encode()
    assert values_of(content_type, [], body) == [body]


def test_a_batch_is_cut_into_its_events_byte_for_byte() -> None:
    one = json.dumps(EVENT, indent=1).encode()
    assert values_of(BATCH, [], b" [ " + one + b' , 7, {"a": [1.50, "\xff"]}]') == [one, b"7", b'{"a": [1.50, "\xff"]}']


def test_binary_mode_is_put_together_from_headers_and_body() -> None:
    (value,) = values_of(BINARY, [*HEADERS, ("CE-Traceparent", "00-1"), ("accept", "*/*")], DATA)
    assert json.loads(value) == {**EVENT, "traceparent": "00-1"}
    assert decode(value).user == "u1"


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("plain", "plain"),
        ("%E2%82%AC 5", "€ 5"),
        ("100%25", "100%"),
        ("/caf\u00c3\u00a9", "/café"),  # raw UTF-8, as servers hand it over
        ('"quoted \\"text\\""', 'quoted "text"'),
        ("", ""),
    ],
)
def test_header_values_are_percent_encoded_utf_8(header: str, text: str) -> None:
    (value,) = values_of(BINARY, [("ce-id", header)], b"{}")
    assert json.loads(value)["id"] == text


def test_a_body_cannot_break_out_of_the_data_of_binary_mode() -> None:
    with pytest.raises(RequestRefused) as refused:
        values_of(BINARY, HEADERS, DATA + b',"id":"another"')
    assert (refused.value.status, refused.value.fault.field) == (400, "data")
    (value,) = values_of(BINARY, [*HEADERS, ("ce-data", "7")], DATA)
    assert json.loads(value) == EVENT


def test_binary_mode_without_a_body_has_no_data() -> None:
    (value,) = values_of(BINARY, HEADERS, b"")
    assert "data" not in json.loads(value)


@pytest.mark.parametrize(
    ("content_type", "headers", "body", "status", "reason"),
    [
        ("", [], b"{}", 415, "unsupported_content_type"),
        ("text/plain", [], b"{}", 415, "unsupported_content_type"),
        ("application/cloudevents+avro", [], b"{}", 415, "unsupported_content_type"),
        (f"{STRUCTURED}; charset=utf-16", [], b"{}", 415, "unsupported_content_type"),
        ("nonsense;;;=", HEADERS, DATA, 415, "unsupported_content_type"),
        (BATCH, [], b"{}", 400, "not_json"),
        (BATCH, [], b"[1,", 400, "not_json"),
        (BATCH, [], b"[" * 100_000, 400, "not_json"),
        (BATCH, [], b"[]", 400, "empty_batch"),
        (BATCH, [], b"[" + b"1," * MAX_EVENTS + b"1]", 413, "too_large"),
        (BINARY, [], DATA, 400, "missing_field"),
        (BINARY, [*HEADERS, ("CE-Id", "other")], DATA, 400, "invalid_field"),
        (BINARY, [*HEADERS, ("ce-x", "%ff")], DATA, 400, "invalid_field"),
        (BINARY, HEADERS, b"\xff", 400, "not_json"),
        (BINARY, HEADERS, b"[" * 100_000, 400, "not_json"),
    ],
)
def test_what_cannot_be_cut_into_events_is_refused_whole(
    content_type: str, headers: list[tuple[str, str]], body: bytes, status: int, reason: str
) -> None:
    with pytest.raises(RequestRefused) as refused:
        values_of(content_type, headers, body)
    assert (refused.value.status, refused.value.fault.reason) == (status, reason)
