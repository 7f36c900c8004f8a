"""The OpenAPI 3.1 document of the ingest, made from the event's schema and the types it answers with."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.asyncapi import EXAMPLE
from schemas.health import Healthy, Ready
from schemas.interactions import TICK, InteractionEvent
from streams.doors.ingest.answers import Answer
from streams.doors.ingest.modes import BATCH, BINARY, MAX_EVENTS, STRUCTURED
from streams.doors.ingest.taking import MAX_REQUEST_BYTES

_SCHEMAS = "#/components/schemas/"
_ANSWERS = {
    "200": "every event is acknowledged by all in-sync replicas",
    "207": "some are; the results tell which",
    "400": "the body, or each event in it, is not JSON",
    "401": "no key, or none that is in force",
    "403": "the key is of another workspace than the events",
    "408": "the body came too slowly",
    "413": f"the request is larger than {MAX_REQUEST_BYTES} bytes or {MAX_EVENTS} events, or an event too large",
    "415": "another content type or encoding",
    "422": "no event was accepted; the results tell why",
    "429": "too many bytes in flight: send it again after Retry-After seconds",
    "503": "the broker is away: send it again after Retry-After seconds; what stood already counts once (U7)",
}
_ATTRIBUTES = ("specversion", "id", "source", "type", "time")


def document() -> dict[str, Any]:
    """The document."""
    event = InteractionEvent.model_json_schema(ref_template=_SCHEMAS + "{model}")
    parts = event.pop("$defs", {})
    attributes = event["properties"]
    # Narrower than the topic's contract: no clock ticks from outside, so there is always data.
    attributes["type"]["enum"] = [known for known in attributes["type"]["enum"] if known != TICK]
    attributes["data"] = {"$ref": _SCHEMAS + "InteractionData"}
    attributes["time"] |= {"format": "date-time"}
    event["required"] = [*_ATTRIBUTES, "data"]
    parts["InteractionData"]["properties"]["workspace"] |= {"description": "The key's workspace."}
    _, components = msgspec.json.schema_components([Answer, Healthy, Ready], ref_template=_SCHEMAS + "{name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Quarterhour HTTP ingest",
            "version": "1",
            "description": "CloudEvents 1.0 over HTTP. An answer is given after the broker's acknowledgement. An event "
            "is identified by source and id: sending it again changes nothing, so repeat whatever was not accepted.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}],
        "paths": {
            "/v1/events": {"post": _post(attributes)},
            "/health": {"get": _get("The process is alive", {"200": "it is"}, Healthy)},
            "/ready": {"get": _get("Events can be taken", {"200": "they can", "503": "what is missing"}, Ready)},
        },
        "components": {
            "schemas": {**components, **parts, "InteractionEvent": event},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "`quarterhour keys create`"}
            },
        },
    }


def _post(attributes: dict[str, Any]) -> dict[str, Any]:
    event = {"$ref": _SCHEMAS + "InteractionEvent"}
    batch = {"type": "array", "items": event, "minItems": 1, "maxItems": MAX_EVENTS}
    data = {"$ref": _SCHEMAS + "InteractionData"}
    return {
        "operationId": "publish",
        "summary": "Publish one event, or a batch.",
        "parameters": [
            {
                "name": f"ce-{name}",
                "in": "header",
                "schema": {key: value for key, value in attributes[name].items() if key != "description"},
                "example": EXAMPLE[name],
                "description": f"binary mode only, where it is required: the attribute `{name}`",
            }
            for name in _ATTRIBUTES
        ],
        "requestBody": {
            "required": True,
            "content": {
                STRUCTURED: {"schema": event, "example": EXAMPLE},
                BATCH: {"schema": batch, "example": [EXAMPLE]},
                BINARY: {"schema": data, "example": EXAMPLE["data"]},
            },
        },
        "responses": {status: _response(status, words) for status, words in _ANSWERS.items()},
    }


def _response(status: str, words: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": words,
        "content": {"application/json": {"schema": {"$ref": _SCHEMAS + "Answer"}}},
    }
    if status in ("429", "503"):
        found["headers"] = {"Retry-After": {"required": True, "schema": {"type": "integer"}}}
    if status == "401":
        found["headers"] = {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}}
    return found


def _get(words: str, answers: dict[str, str], answer: type) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _SCHEMAS + answer.__name__}}}
    responses: dict[str, Any] = {status: {"description": told, "content": content} for status, told in answers.items()}
    if "503" in responses:
        responses["503"]["headers"] = {"Retry-After": {"required": True, "schema": {"type": "integer"}}}
    return {"summary": words, "security": [], "responses": responses}
