"""The account API as one ASGI application."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas.health import JSON, health_answer, ready_answer
from schemas.signin import usable_key
from streams.doors.accounts.answers import STATUS_PATH, answered, pending, pending_of
from streams.doors.accounts.asked import command_asked, key_asked, person_asking, workspace_asked
from streams.doors.accounts.kinds import KINDS
from streams.doors.accounts.metrics import Metrics
from streams.doors.accounts.openapi import COMMAND_PATH, document
from streams.doors.accounts.problems import Problem, Refused, answer
from streams.requests.requests import Asking
from streams.requests.sender import BrokerAway

PART = "accounts-api"
Endpoint = Callable[[Request], Awaitable[Response]]
_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


def application(requests: Asking, signing_key: str) -> Starlette:
    """The application. `requests` is entered when the server starts, and left when it stops."""
    usable_key(signing_key)
    metrics, described = Metrics(), msgspec.json.encode(document())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with requests:
            yield

    async def status(request: Request) -> Response:
        person = person_asking(request, signing_key)
        workspace, command_id = workspace_asked(request), key_asked(request.path_params["command_id"])
        actor = None if person.is_operator else f"user:{person.name}"
        told = requests.desk.told(workspace, command_id, actor)
        if told is True:
            return pending(command_id, workspace)
        if told is False:
            words = "No command of yours under this key is known here any more; give it again: it counts once."
            raise Refused(404, Problem(words, "command_id", command_id))
        return answered(told, repeated=True, status=200)

    async def openapi(_: Request) -> Response:
        return Response(described, media_type="application/json")

    async def health(_: Request) -> Response:
        status, body = health_answer(PART)
        return Response(body, status, media_type=JSON)

    async def ready(_: Request) -> Response:
        missing = "" if requests.listening else "Kafka is away: replies to commands are not heard"
        status, body = ready_answer(PART, {"kafka": missing})
        return Response(body, status, media_type=JSON)

    async def measured(_: Request) -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    commands = [
        Route(
            COMMAND_PATH.format(workspace="{workspace}", kind=kind),
            _guarded(_command(kind, requests, signing_key, metrics)),
            methods=["POST"],
        )
        for kind in KINDS
    ]
    others = [
        Route(STATUS_PATH, _guarded(status)), Route("/openapi.json", openapi), Route("/health", health),
        Route("/ready", ready), Route("/metrics", measured),
    ]  # fmt: skip
    return Starlette(
        routes=[*commands, *others],
        lifespan=lifespan,
        middleware=[Middleware(_Headers)],
        exception_handlers={404: _nothing_here, 405: _wrong_method},
    )


def _command(kind: str, requests: Asking, signing_key: str, metrics: Metrics) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        began, response = time.perf_counter(), None
        try:
            command = await command_asked(request, kind, person_asking(request, signing_key))
            told = await requests.ask(command)
            if told is None:
                response = pending_of(command)
            else:
                response = answered(told.record, repeated=told.repeated, body=command.body)
        except Refused as why:
            response = why.response()
        except BrokerAway as why:
            response = answer(Problem(str(why)), 503, {"Retry-After": "2"})
        finally:
            metrics.answered(kind, 500 if response is None else response.status_code, time.perf_counter() - began)
        return response

    return endpoint


def _guarded(endpoint: Endpoint) -> Endpoint:
    async def guarded(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Refused as why:
            return why.response()

    return guarded


def _nothing_here(request: Request, _: Exception) -> Response:
    return answer(Problem(f"There is nothing at {request.url.path[:200]}; /openapi.json lists what there is."), 404)


def _wrong_method(request: Request, error: Exception) -> Response:
    return answer(Problem(f"{request.method} is not for this path."), 405, getattr(error, "headers", None))


class _Headers:
    """Adds the headers that every answer has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *_HEADERS]}
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
