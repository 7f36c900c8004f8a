"""The query API: JSON (or CSV) endpoints over the list of operations."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projections.ranges import RangeRefused
from projections.web.asked import BadParameter, utc_now
from projections.web.database import Database, NotReady
from projections.web.openapi import Problem, document
from projections.web.operations import OPERATIONS, Call, Operation
from projections.web.present import cell
from schemas.catalog import Catalog


def routes(database: Database, catalog: Catalog) -> list[Route]:
    """All endpoints, and the document that describes them."""
    described = msgspec.json.encode(document(OPERATIONS))

    def openapi(_: Request) -> Response:
        return Response(described, media_type="application/json")

    found = [Route(o.path, _endpoint(o, database, catalog), name=f"api_{o.name}") for o in OPERATIONS]
    return [*found, Route("/api/openapi.json", openapi)]


def _endpoint(operation: Operation, database: Database, catalog: Catalog) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        query = request.query_params
        try:
            answer = database.ask(
                lambda client: operation.run(Call(client, catalog, request.path_params, query, utc_now()))
            )
        except RangeRefused as error:
            return _json(Problem(str(error), error.field, error.value, error.rule), 422)
        except BadParameter as error:
            return _json(Problem(str(error), error.field, error.value), 422)
        except NotReady as error:
            return _json(Problem(str(error)), 503)
        if answer is None:
            return _json(Problem("There is none of that name."), 404)
        if query.get("format") == "csv" and operation.csv:
            return _csv(operation, answer)
        return _json(answer)

    return endpoint


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _csv(operation: Operation, rows: Sequence[Any]) -> Response:
    names = [field.name for field in fields(get_args(operation.answer)[0])]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([cell(getattr(row, name)) for name in names] for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="{operation.name}.csv"'}
    return Response(text.getvalue(), media_type="text/csv", headers=headers)
