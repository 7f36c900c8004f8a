"""The answer to one request: status, ClickHouse's headers, and the body as a compressed stream.

Until the first byte has left, a failure becomes the answer, with its own status. After that it becomes a tagged block
at the end of the body, and the connection is dropped without the body's proper end, so that no client takes a
torn answer for a whole one.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import time

from starlette.types import Send

from projections.embedded.compression import encoder
from projections.embedded.engine import Counts, Engine, Format
from projections.embedded.errors import ClickHouseError, late_block
from projections.embedded.request import Request

_SMALL_BYTES = 64 << 10
_DISPLAY_NAME = socket.gethostname()
_PLAIN_TEXT = "text/plain; charset=UTF-8"


async def send_plain(send: Send, status: int, text: str, headers: dict[str, str] | None = None) -> None:
    """A short answer in plain text."""
    body = text.encode()
    fields = {"Content-Type": _PLAIN_TEXT, "Content-Length": str(len(body)), **(headers or {})}
    await send({"type": "http.response.start", "status": status, "headers": _raw(fields)})
    await send({"type": "http.response.body", "body": body})


class Answer:
    """The answer to `request`. `begun` tells whether its status has left; `finish` or `fail` ends it, once."""

    def __init__(self, send: Send, engine: Engine, request: Request) -> None:
        self.begun = False
        self._send = send
        self._engine = engine
        self._request = request
        self._tag = secrets.token_hex(8)
        self._began_ns = time.perf_counter_ns()
        self._encoder = encoder(request.answer_encoding)

    async def begin(self, output: Format, counts: Counts, length: int | None = None) -> None:
        """Send status 200 and the headers. `counts` is what is known so far, `length` the whole body's in bytes."""
        self.begun = True
        fields = {
            "Content-Type": output.content_type,
            "X-ClickHouse-Format": output.name,
            "X-ClickHouse-Timezone": self._request.settings.get("session_timezone") or self._engine.timezone,
            "X-ClickHouse-Exception-Tag": self._tag,
            "X-ClickHouse-Summary": self._summary(counts),
            **self._common(),
        }
        if self._request.answer_encoding:
            fields["Content-Encoding"] = self._request.answer_encoding
            fields["Vary"] = "Accept-Encoding"
        if length is not None:
            fields["Content-Length"] = str(length)
        await self._send({"type": "http.response.start", "status": 200, "headers": _raw(fields)})

    async def whole(self, output: Format, counts: Counts, data: bytes) -> None:
        """The entire answer at once."""
        body = await self._compressed(data) + self._encoder.finish() if data else b""
        await self.begin(output, counts, len(body))
        await self._send({"type": "http.response.body", "body": body})

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; waits while the client is slow."""
        if body := await self._compressed(data):
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def finish(self) -> None:
        """End the body."""
        await self._send({"type": "http.response.body", "body": self._encoder.finish()})

    async def fail(self, error: ClickHouseError) -> None:
        """Tell the client of `error`, as the answer itself or at the end of a body already begun."""
        if not self.begun:
            self.begun = True
            headers = {"X-ClickHouse-Exception-Code": str(error.code), **self._common()}
            await send_plain(self._send, error.status, f"{error}\n", headers)
            return
        body = self._encoder.compress(late_block(error, self._tag)) + self._encoder.finish()
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def _compressed(self, data: bytes) -> bytes:
        if not self._request.answer_encoding or len(data) <= _SMALL_BYTES:
            return self._encoder.compress(data)
        return await asyncio.to_thread(self._encoder.compress, data)

    def _common(self) -> dict[str, str]:
        return {
            "X-ClickHouse-Query-Id": self._request.query_id,
            "X-ClickHouse-Server-Display-Name": _DISPLAY_NAME,
        }

    def _summary(self, counts: Counts) -> str:
        figures = {
            "read_rows": counts.read_rows,
            "read_bytes": counts.read_bytes,
            "written_rows": counts.written_rows,
            "written_bytes": counts.written_bytes,
            "total_rows_to_read": 0,
            "result_rows": counts.result_rows,
            "result_bytes": 0,
            "elapsed_ns": time.perf_counter_ns() - self._began_ns,
        }
        return json.dumps({name: str(figure) for name, figure in figures.items()}, separators=(",", ":"))


def _raw(fields: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in fields.items()]
