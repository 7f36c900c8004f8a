"""ClickHouse's HTTP interface as an ASGI application over an engine.

Takes a request apart, lets `admission` judge it, runs it in its lane, and answers. A client that goes away ends its
query; its half-sent INSERT is cancelled. There is no authentication: who may connect is decided by the address that
the process listens on; web pages may not (`browsers`).
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import IO

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from projections.embedded.admission import Door, Effect, Judge
from projections.embedded.answers import Answer, send_plain
from projections.embedded.body import PIECE_BYTES, Body, ClientGoneError
from projections.embedded.browsers import web_page
from projections.embedded.connections import Connections
from projections.embedded.engine import Counts, Engine, Format
from projections.embedded.errors import ClickHouseError
from projections.embedded.form import read_form
from projections.embedded.lanes import Lane
from projections.embedded.reading import CHUNK_BYTES, Query, output_format
from projections.embedded.request import Request, read_request
from projections.embedded.statement import Insertion, insertion
from projections.embedded.writing import Outcome, execute, insert, with_format

_HELD_BACK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Backend:
    """What the doors of one process share; `writes` is shared too, `reads` is a door's own."""

    engine: Engine
    connections: Connections
    judge: Judge
    writes: Lane


def application(backend: Backend, door: Door, reads: Lane) -> Starlette:
    """The ASGI application of one door."""

    async def ok(_: HttpRequest) -> PlainTextResponse:
        return PlainTextResponse("Ok.\n")

    queries = _Queries(backend, door, reads)
    return Starlette(routes=[Route("/ping", ok), Route("/", queries, methods=["GET", "HEAD", "POST"])])


class _Queries:
    """The query endpoint, ``/``."""

    def __init__(self, backend: Backend, door: Door, reads: Lane) -> None:
        self._engine = backend.engine
        self._backend = backend
        self._door = door
        self._reads = reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            refused = web_page(headers, is_local=self._door.is_local)
            if refused is not None:
                raise refused
            form = await read_form(headers, receive)
            request = read_request(scope["method"], scope["query_string"], headers, form)
            body = Body(receive, request.content_encoding, finished=form is not None)
        except ClickHouseError as error:
            code = {"X-ClickHouse-Exception-Code": str(error.code)}
            await send_plain(send, error.status, f"{error}\n", code)
            return
        except ClientGoneError:
            return
        if scope["method"] != "POST" and not request.query:
            await send_plain(send, 200, "Ok.\n")
            return
        answer = Answer(send, self._engine, request)
        with contextlib.suppress(ClientGoneError):
            try:
                await self._respond(request, body, answer, receive)
            except ClickHouseError as error:
                await body.drain()
                await answer.fail(error)

    async def _respond(self, request: Request, body: Body, answer: Answer, receive: Receive) -> None:
        cut, text = await _statement(request, body)
        if cut is not None:
            await self._insert(request, with_format(self._engine, request, cut), text[cut.data_start :], body, answer)
            return
        effect = self._backend.judge.admit(text, self._door, request.is_get)
        output = output_format(self._engine, request, text)
        if effect is Effect.READS:
            await self._read(request, text, output, answer, receive)
            return
        outcome = await self._backend.writes.run(lambda: execute(self._backend.connections, request, text, output.name))
        await answer.whole(output, outcome.counts, outcome.output)

    async def _insert(self, request: Request, cut: Insertion, first: bytes, body: Body, answer: Answer) -> None:
        head = cut.head + b" FORMAT " + cut.format.encode()
        self._backend.judge.admit(head, self._door, request.is_get)
        first += await body.piece(PIECE_BYTES - len(first))
        if cut.format == "Values" and body.finished:  # only here can another statement follow unseen
            self._backend.judge.admit(cut.head + b" VALUES " + first, self._door, request.is_get)
        pieces = body.pieces(first)
        loop = asyncio.get_running_loop()

        def run() -> Outcome:
            return insert(self._backend.connections, request, cut, pieces, loop)

        outcome = await self._backend.writes.run(run)
        await answer.whole(self._engine.formats["tabseparated"], outcome.counts, b"")

    async def _read(self, request: Request, text: bytes, output: Format, answer: Answer, receive: Receive) -> None:
        """Run a query for as long as its client is there."""
        query = Query(self._engine, self._backend.connections, self._backend.judge, request, self._door)
        work = asyncio.create_task(_stream(query, query.chunks(self._reads, text, output), output, request, answer))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientGoneError
            await work
        finally:
            gone.cancel()
            work.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
            await query.close()


async def _statement(request: Request, body: Body) -> tuple[Insertion | None, bytes]:
    """The request's text, and how to cut it if it is an INSERT with data; the text then includes the first data."""
    if request.query:
        cut = insertion(request.query)
        if cut is not None:
            return cut, request.query
    first = await body.piece()
    text = b"\n".join(part for part in (request.query, first) if part)
    cut = insertion(text)
    return cut, text if cut is not None else text + await body.rest()


async def _stream(query: Query, chunks: AsyncIterator[bytes], output: Format, request: Request, answer: Answer) -> None:
    """Send a query's output. Its first MiB is held back, all of it on request, so that a failure keeps its status."""
    with tempfile.SpooledTemporaryFile(max_size=_HELD_BACK_BYTES) as held:
        async for chunk in chunks:
            held.write(chunk)
            if held.tell() >= _HELD_BACK_BYTES and not request.waits_for_end:
                await answer.begin(output, Counts())
                await _send_held(held, answer)
                break
        else:
            if held.tell() <= CHUNK_BYTES:
                held.seek(0)
                await answer.whole(output, query.counts, held.read())
            else:
                await answer.begin(output, query.counts)
                await _send_held(held, answer)
                await answer.finish()
            return
    async for chunk in chunks:
        await answer.write(chunk)
    await answer.finish()


async def _send_held(held: IO[bytes], answer: Answer) -> None:
    held.seek(0)
    while chunk := held.read(CHUNK_BYTES):
        await answer.write(chunk)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
