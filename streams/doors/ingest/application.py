"""The ingest as an ASGI application: `POST /v1/events`, `/health`, `/ready`, `/metrics`, `/openapi.json`.

An answer is given only after the broker's: 200 means that all in-sync replicas have every event.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.health import JSON, health_answer, ready_answer
from schemas.tracing import Tracer
from streams.doors.ingest.answers import Answer, RequestRefused
from streams.doors.ingest.backend import Backend
from streams.doors.ingest.metrics import IngestMetrics
from streams.doors.ingest.openapi import document
from streams.doors.ingest.taking import RETRY_SECONDS, Taking
from streams.gateway.buffer import ByteBudget

PART = "ingest"


def application(backend: Backend, in_flight_bytes: int, tracer: Tracer | None = None) -> Starlette:
    """The application; it opens the backend when it starts and closes it, and the tracer, when it ends."""
    taking = Taking(backend, ByteBudget(in_flight_bytes), tracer)
    metrics = IngestMetrics(lambda: taking.in_flight.used, backend.stalled_seconds, backend.keys_age_seconds)
    described = msgspec.json.encode(document())

    async def events(request: Request) -> Response:
        begun = time.monotonic()
        retry_after: int | None = None
        try:
            status, answer = await taking.take(request)
        except RequestRefused as refused:
            status, retry_after = refused.status, refused.retry_after
            answer = Answer(0, 0, 0, [], refused.fault)
        else:
            metrics.events(answer.accepted, answer.refused, answer.unknown)
            if status == 503:
                retry_after = RETRY_SECONDS
        metrics.answered(status, time.monotonic() - begun)
        return _json(status, answer, retry_after)

    async def ready(_: Request) -> Response:
        status, body = ready_answer(PART, taking.missing())
        headers = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else {}
        return Response(body, status, headers, media_type=JSON)

    async def health(_: Request) -> Response:
        status, body = health_answer(PART)
        return Response(body, status, media_type=JSON)

    async def counted(_: Request) -> Response:
        return Response(metrics.render(), media_type="text/plain; version=0.0.4")

    async def openapi(_: Request) -> Response:
        return Response(described, media_type="application/json")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await backend.open()
        try:
            yield
        finally:
            await backend.close()
            if tracer is not None:
                await asyncio.to_thread(tracer.close)

    return Starlette(
        routes=[
            Route("/v1/events", events, methods=["POST"]),
            Route("/health", health),
            Route("/ready", ready),
            Route("/metrics", counted),
            Route("/openapi.json", openapi),
        ],
        lifespan=lifespan,
    )


def _json(status: int, answer: Answer, retry_after: int | None) -> Response:
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(answer), status, headers, media_type="application/json")
