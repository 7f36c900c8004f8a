"""The OpenAPI document of the query API, made from the list of operations and the types they answer with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from projections.web.operations import Operation


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a request: `error` a sentence; `field`, `value`, `rule` where one parameter is to blame."""

    error: str
    field: str = ""
    value: str = ""
    rule: str = ""


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """OpenAPI 3.1."""
    types = [*(operation.answer for operation in operations), Problem]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    problem = {"description": "what is wrong", "content": _json(schemas[-1])}
    paths = {
        operation.path: {"get": _get(operation, schema, problem)}
        for operation, schema in zip(operations, schemas, strict=False)
    }
    info = {
        "title": "Quarterhour query API",
        "version": "1",
        "description": "Plan and usage of workspaces. Money is integer micro-dollars, instants are UTC. Where "
        "a signing key is set, each request carries a sign-in token (W2).",
    }
    scheme = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    return {
        "openapi": "3.1.0", "info": info, "paths": paths, "security": [{"signin": []}, {}],
        "components": {"schemas": components, "securitySchemes": {"signin": scheme}},
    }  # fmt: skip


def _get(operation: Operation, schema: Any, problem: Any) -> dict[str, Any]:
    content = {} if operation.streams else _json(schema)
    for media_type in (*(rendering.media_type for rendering in operation.formats.values()), *operation.streams):
        content[media_type] = {"schema": {"type": "string"}}
    names = re.findall(r"{(\w+)}", operation.path)
    in_path = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    in_query = [
        {"name": p.name, "in": "query", "description": p.words, "schema": dict(p.schema), "required": p.required}
        for p in operation.parameters
    ]
    responses = {
        "200": {"description": operation.words, "content": content},
        "401": problem,
        "422": problem,
        "503": problem,
    }
    if names:
        responses |= {"403": problem, "404": problem}
    return {
        "operationId": operation.name,
        "summary": operation.words,
        "parameters": in_path + in_query,
        "responses": responses,
    }


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
