"""An OpenTelemetry collector in this process: OTLP over HTTP in, spans to look at."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Span(NamedTuple):
    """What a test asks of a span; ids are hexadecimal."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    topic: str
    offset: int
    seconds: float


class Collector:
    """`spans` of a trace, as they come in."""

    def __init__(self) -> None:
        self.address = ""
        self._lock = threading.Lock()
        self._spans: list[Span] = []

    def take(self, body: bytes) -> None:
        """One export request."""
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            (service,) = [a.value.string_value for a in resource.resource.attributes if a.key == "service.name"]
            for scope in resource.scope_spans:
                for span in scope.spans:
                    attributes = {attribute.key: attribute.value for attribute in span.attributes}
                    topic, offset = (attributes.get(f"messaging.{n}") for n in ("destination.name", "kafka.offset"))
                    made = Span(
                        service, span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
                        topic.string_value if topic else "", offset.int_value if offset else -1,
                        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                    )  # fmt: skip
                    with self._lock:
                        self._spans.append(made)

    def spans(self, trace_id: str) -> list[Span]:
        """Those of a trace so far."""
        with self._lock:
            return [span for span in self._spans if span.trace_id == trace_id]

    def chain(self, trace_id: str, *names: str, seconds: float = 200) -> list[Span]:
        """A chain of spans with these names, each the parent of the next; fails when it does not come."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.spans(trace_id)
            chains = [[span] for span in found if span.name == names[0]]
            for name in names[1:]:
                chains = [[*c, s] for c in chains for s in found if s.name == name and s.parent_id == c[-1].span_id]
            if chains:
                return chains[0]
            assert time.monotonic() < deadline, f"no chain {names} in {found}"
            time.sleep(0.1)


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # http.server's name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
            collector.take(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    collector.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
