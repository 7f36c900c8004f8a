"""`/metrics`, `/health` and `/ready` of a process that speaks no HTTP otherwise, from a thread of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import Metric

from schemas.health import JSON, Health

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


class Collects(Protocol):
    """Gives metrics when asked; see `prometheus_client`."""

    def collect(self) -> Iterable[Metric]:
        """One family a metric."""


def metrics_text(collector: Collects) -> bytes:
    """The metrics as text for Prometheus."""
    registry = CollectorRegistry()
    untyped: Any = collector
    registry.register(untyped)
    return generate_latest(registry)


def expose(collector: Collects, health: Health, address: str, port: int) -> Callable[[], None]:
    """Answer from a thread; returns what stops it."""
    answers: dict[str, Callable[[], tuple[int, str, bytes]]] = {
        "/metrics": lambda: (200, CONTENT_TYPE_LATEST, metrics_text(collector)),
        "/health": lambda: _json(*health.healthy()),
        "/ready": lambda: _json(*health.ready()),
    }

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        found = answers.get(environ["PATH_INFO"])
        status, media_type, body = found() if found else (404, "text/plain", f"{' '.join(answers)}\n".encode())
        start(f"{status} {HTTPStatus(status).phrase}", [("Content-Type", media_type)])
        return [body]

    family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    kind = type("_Server", (_Server,), {"address_family": family})
    server: WSGIServer = make_server(address, port, answer, server_class=kind, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def _json(status: int, body: bytes) -> tuple[int, str, bytes]:
    return status, JSON, body


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a request: one that hangs keeps nobody else waiting."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """Tells the log nothing of requests."""

    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""
