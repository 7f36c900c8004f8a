"""Spans of one process, handed to an OpenTelemetry collector (OTLP over HTTP) in the background.

Off unless `QUARTERHOUR_OTEL_ENDPOINT` names a collector; then OpenTelemetry's packages are not even imported. A span is
told once it is over, into a bounded queue: a collector that is away costs spans, never work.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from threading import Thread
from typing import TYPE_CHECKING, Literal

from schemas.settings import Settings
from schemas.traces import TraceContext, new_trace

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

Kind = Literal["internal", "producer", "consumer"]
EXPORT_SECONDS = 1.0
TIMEOUT_SECONDS = 5.0
QUEUE_SPANS = 8_192


class Tracer:
    """See the module. `close` hands over what is left, for `TIMEOUT_SECONDS` at most."""

    def __init__(self, process: str, endpoint: str, sample_ratio: float) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self.process = process
        self._sample_ratio = sample_ratio
        self._resource = Resource({"service.name": f"quarterhour-{process}", "service.namespace": "quarterhour"})
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=TIMEOUT_SECONDS)
        self._processor = BatchSpanProcessor(exporter, QUEUE_SPANS, EXPORT_SECONDS * 1000)

    def begins(self) -> TraceContext | None:
        """A new trace for an event that brought none, for the share of them that the setting says."""
        return new_trace() if random.random() < self._sample_ratio else None  # noqa: S311 - no secret

    def span(
        self,
        name: str,
        own: TraceContext,
        parent: TraceContext | None,
        began_ns: int,
        ended_ns: int,
        attributes: Mapping[str, str | int],
        kind: Kind = "consumer",
    ) -> None:
        """Tell of a span that is over; instants are nanoseconds of the wall clock."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanKind

        self._processor.on_end(
            ReadableSpan(
                name, _span_context(own), _span_context(parent) if parent else None, self._resource, attributes,
                kind=SpanKind[kind.upper()], start_time=began_ns, end_time=ended_ns,
            )
        )  # fmt: skip

    def close(self) -> None:
        """See the class."""
        # Each batch that nobody takes costs a timeout, up to 30 s in all, and our caller may be stopping a worker.
        closing = Thread(target=self._processor.shutdown, name="spans", daemon=True)
        closing.start()
        closing.join(TIMEOUT_SECONDS)


def new_tracer(process: str, settings: Settings) -> Tracer | None:
    """The process's tracer; None when traces are off."""
    if not settings.otel_endpoint:
        return None
    return Tracer(process, settings.otel_endpoint, settings.otel_sample_ratio)


def place(topic: str, partition: int, offset: int) -> dict[str, str | int]:
    """Where a record stands, as OpenTelemetry's conventions name it."""
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
        "messaging.kafka.offset": offset,
    }


def _span_context(context: TraceContext) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), True, TraceFlags(TraceFlags.SAMPLED))
