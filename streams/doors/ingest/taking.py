"""Taking a request's events: who sends them, how many bytes, each event judged, published, and its result awaited."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from schemas.errors import InvalidRecord
from schemas.traces import TRACEPARENT
from schemas.tracing import Tracer
from streams.doors.ingest.answers import NOT_ACKNOWLEDGED, Answer, Fault, RequestRefused, Result, answer_of
from streams.doors.ingest.backend import Backend
from streams.doors.ingest.judging import Judged, judge
from streams.doors.ingest.modes import values_of
from streams.doors.ingest.trail import Trail
from streams.gateway.buffer import ByteBudget
from streams.gateway.errors import NotDelivered, Refused
from streams.gateway.publisher import Receipt

MAX_REQUEST_BYTES = 4 * 1024 * 1024
BODY_SECONDS = 30.0
STALLED_SECONDS = 3.0
"""An event unacknowledged for so long means that the broker is away: further requests are not even tried."""
KEYS_AGE_SECONDS = 30.0
"""Keys may have been revoked since: with an older view nobody is let in."""
READY_AGE_SECONDS = 5.0
"""An older view says that the broker is away, though requests are still taken for a while."""
RETRY_SECONDS = 2
_BUSY_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Taking:
    """How requests are taken, in this process."""

    backend: Backend
    in_flight: ByteBudget
    tracer: Tracer | None = None

    def refuse_while_away(self) -> None:
        """503 while there is no broker to acknowledge anything, or no current view of the keys."""
        backend = self.backend
        if not backend.is_connected() or backend.stalled_seconds() > STALLED_SECONDS:
            raise away("the broker does not answer")
        if backend.keys_age_seconds() > KEYS_AGE_SECONDS:
            raise away("the view of the keys is not current")

    def missing(self) -> dict[str, str]:
        """What is missing to take events, as sentences by name; empty ones where nothing is."""
        backend, age = self.backend, self.backend.keys_age_seconds()
        away = not backend.is_connected() or backend.stalled_seconds() > STALLED_SECONDS
        stale = "have not been read yet" if age == math.inf else f"were last known current {age:.0f} s ago"
        return {
            "kafka": "Kafka is away: events are not acknowledged" if away else "",
            "keys": f"the keys of gateways {stale}" if age > READY_AGE_SECONDS else "",
        }

    def workspace(self, request: Request) -> str:
        """Whose key it is; 401 for none that is in force."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        found = self.backend.keys.workspace_of(text.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            detail = "send `Authorization: Bearer KEY`, with a key of `quarterhour keys create` that is not revoked"
            raise RequestRefused(401, Fault("no_key", detail, "authorization"))
        return found

    async def take(self, request: Request) -> tuple[int, Answer]:
        """Status and answer for a POST of events; raises RequestRefused."""
        self.refuse_while_away()
        workspace = self.workspace(request)
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            fault = Fault("unsupported_content_encoding", "send it uncompressed", "content-encoding")
            raise RequestRefused(415, fault)
        held = _Held(self.in_flight)
        try:
            body = await _body(request, held)
            values = values_of(request.headers.get("content-type", ""), request.headers.items(), body)
            trail = Trail(self.tracer, request.headers.get(TRACEPARENT, ""))
            return answer_of(await self._publish(values, workspace, trail))
        finally:
            held.let_go()

    async def _publish(self, values: list[bytes], workspace: str, trail: Trail) -> list[Result]:
        """Results in order; every valid event is acknowledged, or told not to be."""
        now_us = time.time_ns() // 1000
        results: list[Result | tuple[Judged, Receipt]] = []
        for index, value in enumerate(values):
            try:
                judged = judge(value, workspace, now_us)
            except InvalidRecord as error:
                results.append(Result(index, "refused", error=Fault.of(error)))
                continue
            receipt = self.backend.offer(judged.key, judged.value, trail.context(index, value))
            if receipt is None:
                results.append(_unknown(index, judged, "there is no room for it: send it again later"))
            else:
                results.append((judged, receipt))
        waiting = [one[1] for one in results if isinstance(one, tuple)]
        if waiting:
            await asyncio.wait(waiting)
        settled = [one if isinstance(one, Result) else _settled(index, *one) for index, one in enumerate(results)]
        trail.told(settled)
        return settled


class _Held:
    """The bytes of one request, taken from the budget as they come in."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._size = 0

    def take(self, size: int) -> None:
        """Raises RequestRefused: 413 past the largest request, 429 when the budget is used up."""
        if self._size + size > MAX_REQUEST_BYTES:
            raise _too_large(f"more than {self._size}")
        if not self._budget.try_take(size):
            raise busy(self._budget.total)
        self._size += size

    def let_go(self) -> None:
        """Give all back."""
        self._budget.give_back(self._size)


async def _body(request: Request, held: _Held) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 15 or int(announced) > MAX_REQUEST_BYTES):
        raise _too_large(announced[:15])
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in _stream(request):
                held.take(len(chunk))
                body += chunk
    except TimeoutError:
        fault = Fault("slow_body", "send the body faster", rule=f"within {BODY_SECONDS:g} s")
        raise RequestRefused(408, fault) from None
    return bytes(body)


def away(what: str) -> RequestRefused:
    """503."""
    fault = Fault("broker_away", f"{what}: nothing of this request was taken; send it again later")
    return RequestRefused(503, fault, RETRY_SECONDS)


def busy(total: int) -> RequestRefused:
    """429: back-pressure."""
    fault = Fault("too_busy", "nothing of this request was taken; send it again later", rule=f"{total} bytes in flight")
    return RequestRefused(429, fault, _BUSY_SECONDS)


def _too_large(found: str) -> RequestRefused:
    rule = f"at most {MAX_REQUEST_BYTES} bytes a request"
    return RequestRefused(413, Fault("too_large", "split the batch", "", f"{found} bytes", rule))


async def _stream(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        fault = Fault("cut_off", "the connection ended within the body")
        raise RequestRefused(400, fault) from None


def _settled(index: int, judged: Judged, receipt: Receipt) -> Result:
    error = receipt.exception()
    if error is None:
        topic, partition, offset = receipt.result()
        return Result(index, "accepted", judged.id, judged.source, topic, partition, offset)
    if isinstance(error, Refused):
        return Result(index, "refused", judged.id, judged.source, error=Fault("refused_by_broker", str(error)))
    if isinstance(error, NotDelivered):
        return _unknown(index, judged, str(error))
    raise error


def _unknown(index: int, judged: Judged, detail: str) -> Result:
    return Result(index, "unknown", judged.id, judged.source, error=Fault(NOT_ACKNOWLEDGED, detail))
