"""The query API: endpoints over the list of operations, in JSON or the other formats each has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from projections.membership import Need
from projections.ranges import RangeRefused
from projections.web.asked import BadParameter, utc_now
from projections.web.database import Database, NotReady
from projections.web.exports import Export
from projections.web.gate import NotAdmitted, admitted, signed_of
from projections.web.openapi import Problem, document
from projections.web.operations import OPERATIONS, Call, Operation
from schemas.catalog import Catalog
from schemas.errors import ConfigurationError, excerpt


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
            _check_format(operation, query)
            answer = database.ask(lambda client: _run(operation, client, catalog, request))
        except NotAdmitted as error:
            return _json(Problem(str(error)), error.status)
        except RangeRefused as error:
            return _json(Problem(str(error), error.field, error.value, error.rule), 422)
        except BadParameter as error:
            return _json(Problem(str(error), error.field, error.value), 422)
        except NotReady as error:
            return _json(Problem(str(error)), 503)
        except ConfigurationError as error:
            return _json(Problem(str(error)), 422)
        if answer is None:
            return _json(Problem("There is none of that name."), 404)
        return _answered(operation, answer, query.get("format") or "json")

    return endpoint


def _run(operation: Operation, client: Client, catalog: Catalog, request: Request) -> Any:
    """The answer, if the person may have it; what it turns out to be about may decide that (W2)."""
    signed, query = signed_of(request), request.query_params
    standing = admitted(client, signed, operation.need, request.path_params, query.get("app", ""))
    person = "" if signed.is_operator else signed.name
    answer = operation.run(Call(client, catalog, request.path_params, query, utc_now(), person))
    if operation.app_of and answer is not None and not standing.meets(Need.APP, operation.app_of(answer)):
        return None  # as if there were none: ids are guessable
    return answer


def _answered(operation: Operation, answer: Any, name: str) -> Response:
    if isinstance(answer, Export):
        headers = {"Content-Disposition": f'attachment; filename="{answer.file_name}"'}
        return StreamingResponse(answer.pieces, media_type=answer.media_type, headers=headers)
    rendering = operation.formats.get(name)
    if rendering is None:
        return _json(answer)
    headers = {"Content-Disposition": f'attachment; filename="{operation.name}.{name}"'}
    return Response(rendering.render(answer), media_type=rendering.media_type, headers=headers)


def not_found(path: str) -> Response:
    """The answer to an address of the API that there is none of."""
    return _json(Problem(f"There is no {path}."), 404)


def _check_format(operation: Operation, query: Mapping[str, str]) -> None:
    name = query.get("format")
    if name and not operation.streams and name != "json" and name not in operation.formats:
        raise BadParameter("format", excerpt(name), f"one of {', '.join(['json', *operation.formats])}")


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
