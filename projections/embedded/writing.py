"""Statements that change something: INSERTs with data, streamed in, and everything else that answers briefly.

An INSERT is acknowledged when the engine has finished it, and cancelled when its body breaks off. The data pass
through in pieces; the engine parses them in their own format. What an INSERT means (deduplication tokens, views) is the
engine's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from projections.embedded.connections import Connections
from projections.embedded.engine import Counts, Engine, apply_settings
from projections.embedded.errors import refusal
from projections.embedded.request import Request
from projections.embedded.statement import Insertion


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a changing statement answers."""

    counts: Counts
    output: bytes = b""


def execute(connections: Connections, request: Request, text: bytes, output_format: str) -> Outcome:
    """Run one statement without data (blocking). Its answer is kept in memory: such answers are small."""
    with connections.of(request, readonly=0) as connection:
        result = connection.query(text, output_format, params=dict(request.parameters))
        counts = Counts(
            result.storage_rows_read(), result.storage_bytes_read(), result.rows_written(), result.bytes_written()
        )
        return Outcome(counts, bytes(result.bytes()))


def insert(
    connections: Connections,
    request: Request,
    insertion: Insertion,
    pieces: AsyncIterator[bytes],
    loop: asyncio.AbstractEventLoop,
) -> Outcome:
    """Run one INSERT with data (blocking), drawing `pieces` from the event loop.

    Raises what the engine or the drawing raises; the INSERT is then cancelled, though blocks that the engine had
    already committed stay, as in ClickHouse.
    """

    async def next_piece() -> bytes:
        return await anext(pieces, b"")

    with connections.of(request, readonly=0) as connection:
        apply_settings(connection, {f"param_{name}": value for name, value in request.parameters.items()})
        inserter = connection.send_insert(insertion.head, insertion.format)
        try:
            while piece := asyncio.run_coroutine_threadsafe(next_piece(), loop).result():
                inserter.append(piece)
            result = inserter.finish()
        except BaseException:
            inserter.cancel()
            raise
        return Outcome(Counts(written_rows=result.rows_written, written_bytes=result.bytes_written))


def with_format(engine: Engine, request: Request, insertion: Insertion) -> Insertion:
    """The INSERT with its input format settled: its own, the request's default, or Values."""
    name = insertion.format or request.default_format or "Values"
    known = engine.formats.get(name.lower())
    if known is None:
        raise refusal("UNKNOWN_FORMAT", f"Unknown format {name}.")
    return Insertion(insertion.head, known.name, insertion.data_start)
