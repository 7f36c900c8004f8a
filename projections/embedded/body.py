"""The body of a request: received, decompressed, and handed on in pieces of about a mebibyte.

Memory stays that of one piece. A body that breaks off is told from one that ends.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

import zstandard
from starlette.types import Receive

from projections.embedded.compression import decoder
from projections.embedded.errors import refusal

PIECE_BYTES = 1 << 20
LONGEST_STATEMENT_BYTES = 64 << 20
_DRAIN_SECONDS = 10.0


class ClientGoneError(Exception):
    """The client closed the connection before its request was over."""


class Body:
    """One request's body. `finished` tells whether all of it has been received."""

    def __init__(self, receive: Receive, content_encoding: str, *, finished: bool = False) -> None:
        self.finished = finished
        self._receive = receive
        self._decoder = decoder(content_encoding)

    async def piece(self, least_bytes: int = PIECE_BYTES) -> bytes:
        """The next `least_bytes` or more of the body, or what is left of it; empty at its end.

        Raises `ClientGoneError` where it breaks off, `ClickHouseError` where it does not decompress.
        """
        parts: list[bytes] = []
        size = 0
        while not self.finished and size < least_bytes:
            part = self._decoded(await self._part())
            parts.append(part)
            size += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def pieces(self, first: bytes) -> AsyncIterator[bytes]:
        """`first`, where there is any, and then the rest of the body, no piece empty."""
        if first:
            yield first
        while not self.finished:
            if piece := await self.piece():
                yield piece

    async def rest(self) -> bytes:
        """All that is left, for a statement without data; raises QUERY_IS_TOO_LARGE beyond 64 MiB."""
        text = await self.piece(LONGEST_STATEMENT_BYTES)
        if not self.finished:
            raise refusal("QUERY_IS_TOO_LARGE", f"The statement has more than {LONGEST_STATEMENT_BYTES} bytes.")
        return text

    async def drain(self) -> None:
        """Receive and drop what is left, for some seconds at most, so that the client gets to read its answer."""

        async def drop() -> None:
            while not self.finished:
                await self._part()

        try:
            await asyncio.wait_for(drop(), _DRAIN_SECONDS)
        except (TimeoutError, ClientGoneError):
            self.finished = True

    async def _part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        self.finished = not message.get("more_body", False)
        return bytes(message.get("body", b""))

    def _decoded(self, data: bytes) -> bytes:
        try:
            return self._decoder.decompress(data)
        except (RuntimeError, EOFError, zlib.error, zstandard.ZstdError) as error:
            raise refusal("INCORRECT_DATA", f"The body does not decompress: {error}.") from None
