"""A running query whose output is a stream of bytes.

The engine writes its output into a pipe (``INTO OUTFILE '/proc/self/fd/N'``), in any format, and the event loop reads
the other end: memory stays flat whatever the size, and a slow reader slows the engine down. A query that nobody reads
any more is killed, because the engine ignores a broken pipe. Sending the bytes on is `answers`' work.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import uuid
from collections.abc import AsyncIterator
from typing import Any

from projections.embedded.admission import Door, Effect, Judge, ungranted_function
from projections.embedded.connections import Connections
from projections.embedded.engine import Counts, Engine, Format
from projections.embedded.errors import refusal
from projections.embedded.lanes import Lane
from projections.embedded.request import Request
from projections.embedded.statement import format_clause, without_end

CHUNK_BYTES = 1 << 20
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ, which the fcntl module of Python 3.11 lacks on some platforms
_KILL_AGAIN_SECONDS = 0.2


class Query:
    """One query, from its text to the end of its output.

    `chunks` yields the output once; afterwards, or on any failure, `close` must be called. `counts` is known after the
    last chunk. Raises `ClickHouseError` where the engine fails, before or after the first bytes.
    """

    def __init__(self, engine: Engine, connections: Connections, judge: Judge, request: Request, door: Door) -> None:
        self.counts = Counts()
        self._engine = engine
        self._connections = connections
        self._judge = judge
        self._request = request
        self._readonly = 1 if door.readonly else 2 if request.is_get and not request.session_id else 0
        self._mark = f"/* query {request.query_id} {uuid.uuid4().hex} */"
        self._running: asyncio.Future[Counts] | None = None
        self._output: asyncio.ReadTransport | None = None

    async def chunks(self, lane: Lane, text: bytes, output: Format) -> AsyncIterator[bytes]:
        """Run `text` in a place of `lane` and yield its output, in `output` unless the text names a format."""
        read_end, write_end = os.pipe()
        fcntl.fcntl(write_end, _SET_PIPE_SIZE, CHUNK_BYTES)
        reader = asyncio.StreamReader(limit=CHUNK_BYTES)
        self._output, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
        )
        try:
            statement = self._redirected(text, output, write_end)
            self._running = await lane.start(lambda: self._run(statement, output.name, write_end))
        except BaseException:
            os.close(write_end)
            raise
        while chunk := await reader.read(CHUNK_BYTES):
            yield chunk
        self.counts = await asyncio.shield(self._running)  # so that `close` still sees it run

    async def close(self) -> None:
        """End the query: kill it if it still runs, until it has stopped, and release the pipe."""
        if self._output is not None:
            self._output.close()
        while self._running is not None and not self._running.done():
            await asyncio.to_thread(self._engine.kill, self._mark)
            await asyncio.wait({self._running}, timeout=_KILL_AGAIN_SECONDS)
        if self._running is not None and not self._running.cancelled():
            self._running.exception()  # seen: whoever closes early does not want to hear of it

    def _run(self, statement: bytes, output_format: str, write_end: int) -> Counts:
        try:
            with self._connections.of(self._request, self._readonly) as connection:
                if self._readonly == 1:
                    self._refuse_ungranted(connection, statement)
                result = connection.query(statement, output_format, params=dict(self._request.parameters))
                return Counts(result.storage_rows_read(), result.storage_bytes_read(), result_rows=result.rows_read())
        finally:
            os.close(write_end)

    def _redirected(self, text: bytes, output: Format, write_end: int) -> bytes:
        """`text` with its output sent to the pipe; the engine's parser confirms that it is still one statement."""
        text = without_end(text)
        target = f"{self._mark} INTO OUTFILE '/proc/self/fd/{write_end}' TRUNCATE ".encode()
        clause = format_clause(text)
        candidates = [text + b"\n" + target + b"FORMAT " + output.name.encode()]
        if clause is not None:
            candidates.insert(0, text[: clause[0]] + target + text[clause[0] :])
        for candidate in candidates:
            if self._judge.classify(candidate) == (Effect.CONTROLS, 1):
                return candidate
        raise refusal("SYNTAX_ERROR", "The place of the output format in the statement is not clear.")

    def _refuse_ungranted(self, connection: Any, statement: bytes) -> None:
        quoted = statement.replace(b"\\", b"\\\\").replace(b"'", b"\\'")
        formatted = connection.query(b"SELECT formatQuerySingleLine('" + quoted + b"')", "RawBLOB")
        refused = ungranted_function(bytes(formatted.bytes()), self._request.parameters)
        if refused is not None:
            raise refused


def output_format(engine: Engine, request: Request, text: bytes) -> Format:
    """The format a query will answer in: its own FORMAT clause, the request's default, or TabSeparated.

    Raises `ClickHouseError` UNKNOWN_FORMAT for a default that does not exist; the text's own is the engine's to judge.
    """
    clause = format_clause(without_end(text))
    name = clause[1] if clause else request.default_format or "TabSeparated"
    known = engine.formats.get(name.lower())
    if known is None and not clause:
        raise refusal("UNKNOWN_FORMAT", f"Unknown format {name}.")
    return known or Format(name, "application/octet-stream")
