"""The OpenAPI document of the account API, made from the command contract."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from schemas.interactions import NAME_PATTERN
from streams.accounts.permissions import PERMITS
from streams.doors.accounts.answers import STATUS_PATH, Accepted, NotObeyed, Pending
from streams.doors.accounts.asked import KEY_HEADER, KEY_PATTERN
from streams.doors.accounts.kinds import KINDS, name_fields
from streams.doors.accounts.problems import Problem

COMMAND_PATH = "/v1/workspaces/{workspace}/commands/{kind}"
_NAME = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": NAME_PATTERN.removesuffix(r"(?!\n)")}
_KEY = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": KEY_PATTERN}
_WORKSPACE = {"name": "workspace", "in": "path", "required": True, "schema": _NAME}
_ABOUT = (
    "Commands to accounts: each is published to Kafka and answered with the ledger record it led to. Money is integer "
    "micro-dollars, instants are microseconds UTC. The idempotency key is the command's id within its workspace: the "
    "same again is answered the same and counts once. Sign in with a bearer token."
)


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    bodies = list(KINDS.values())
    types = [*bodies, Accepted, NotObeyed, Pending, Problem]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    accepted, not_obeyed, pending, problem = schemas[-4:]
    paths: dict[str, Any] = {}
    for kind, body in KINDS.items():
        _without_kind(components[body.__name__], name_fields(body))
        paths[COMMAND_PATH.format(workspace="{workspace}", kind=kind)] = {
            "post": {
                "operationId": kind,
                "summary": _words(body),
                "description": f"May be given by: {', '.join(role.replace('_', ' ') for role in PERMITS[body].roles)}.",
                "parameters": [
                    _WORKSPACE, {"name": KEY_HEADER, "in": "header", "required": True, "schema": _KEY},
                ],
                "requestBody": {"required": True, "content": _json({"$ref": f"#/components/schemas/{body.__name__}"})},
                "responses": {
                    "200": _answer("obeyed, now or when it was first given", accepted),
                    "202": _answer("taken, not confirmed within a second", pending, ("Location", "Retry-After")),
                    "400": _answer("not what the contract asks for", problem),
                    "401": _answer("no sign-in, or one that has expired", problem, ("WWW-Authenticate",)),
                    "403": _answer("not for this person to command", not_obeyed),
                    "409": _answer("another command was given under this key", not_obeyed),
                    "413": _answer("too large", problem),
                    "422": _answer("refused: field, value and rule", not_obeyed),
                    "503": _answer("Kafka is away; the command may have been taken", problem, ("Retry-After",)),
                },
            }
        }  # fmt: skip
    paths[STATUS_PATH] = {"get": _status(accepted, not_obeyed, pending, problem)}
    paths |= _plain_paths()
    return {
        "openapi": "3.1.0",
        "info": {"title": "Quarterhour account API", "version": "1", "description": _ABOUT},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _status(accepted: Any, not_obeyed: Any, pending: Any, problem: Any) -> dict[str, Any]:
    return {
        "operationId": "answer",
        "summary": "What a command led to, as far as it was heard here lately",
        "parameters": [_WORKSPACE, {"name": "command_id", "in": "path", "required": True, "schema": _KEY}],
        "responses": {
            "200": _answer("it was obeyed, or refused", {"anyOf": [accepted, not_obeyed]}),
            "202": _answer("not confirmed yet", pending, ("Location", "Retry-After")),
            "400": _answer("no workspace or key can be called that", problem),
            "401": _answer("no sign-in, or one that has expired", problem, ("WWW-Authenticate",)),
            "404": _answer("no command of yours under this key is known here", problem),
        },
    }


def _plain_paths() -> dict[str, Any]:
    described = {
        "/health": ("health", "The process runs", "application/json", ()),
        "/ready": ("ready", "Commands are answered; 503 says what is missing", "application/json", ("503",)),
        "/metrics": ("metrics", "Figures for Prometheus", "text/plain", ()),
        "/openapi.json": ("openapi", "This document", "application/json", ()),
    }
    return {
        path: {
            "get": {
                "operationId": name,
                "summary": words,
                "security": [],
                "responses": {code: {"description": words, "content": {media: {}}} for code in ("200", *codes)},
            }
        }
        for path, (name, words, media, codes) in described.items()
    }


def _without_kind(schema: dict[str, Any], names: list[str]) -> None:
    """The path says the kind; fields that are not known are refused; apps are named as events name them."""
    del schema["properties"]["kind"]
    required = [name for name in schema.pop("required", []) if name != "kind"]
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    for name in names:
        found = schema["properties"][name]
        for alternative in found.get("anyOf", [found]):
            if alternative.get("type") == "string":
                alternative["pattern"] = _NAME["pattern"]


def _words(body: type) -> str:
    return " ".join((inspect.getdoc(body) or "").split())


def _answer(words: str, schema: Any, headers: tuple[str, ...] = ()) -> dict[str, Any]:
    described: dict[str, Any] = {"description": words, "content": _json(schema)}
    if headers:
        described["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    return described


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
