"""The traces of one request's events: each event's own, else the request's, else a new one for a share of them.

With traces off, a context that was brought is passed on as it is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from schemas import traces
from schemas.traces import TraceContext
from schemas.tracing import Tracer, place
from streams.doors.ingest.answers import Result

log = logging.getLogger(__name__)


class Trail:
    """`context` for each event that is offered, then `told` once with all results."""

    def __init__(self, tracer: Tracer | None, traceparent: str) -> None:
        self._tracer = tracer
        self._request = traces.parsed(traceparent) if traceparent else None
        self._began_ns = time.time_ns()
        self._open: list[tuple[int, TraceContext, TraceContext | None]] = []

    def context(self, index: int, value: bytes) -> TraceContext | None:
        """What the event's record carries."""
        brought = traces.of_event(value) or self._request
        if self._tracer is None:
            return brought
        own = brought.child() if brought is not None else self._tracer.begins()
        if own is not None:
            self._open.append((index, own, brought))
        return own

    def told(self, results: Sequence[Result]) -> None:
        """The spans, from the request to the broker's acknowledgement."""
        if self._tracer is None:
            return
        now_ns = time.time_ns()
        for index, own, brought in self._open:
            result = results[index]
            attributes: dict[str, str | int] = {"quarterhour.event.status": result.status}
            if result.topic is not None and result.partition is not None and result.offset is not None:
                attributes |= place(result.topic, result.partition, result.offset)
            if result.error is not None:
                with traces.current(own):
                    log.warning(
                        "event %s of %s is %s: %s", result.id, result.source, result.status, result.error.detail
                    )
            self._tracer.span("ingest", own, brought, self._began_ns, now_ns, attributes, "producer")
