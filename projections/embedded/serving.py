"""The process: its sockets, its signals, its end.

Takes the ports first, then the engine, then serves until SIGTERM or SIGINT; running statements then get some seconds,
after which they are killed. What was acknowledged is on the disk at any moment, so that no end, however abrupt,
needs a repair.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from projections.embedded.admission import Door, Judge
from projections.embedded.connections import Connections
from projections.embedded.door import Backend, application
from projections.embedded.engine import Engine
from projections.embedded.lanes import Lane

_KEEP_ALIVE_SECONDS = 75
_LONGEST_URL_BYTES = 1 << 20
_SESSION_SWEEP_SECONDS = 10
_AFTER_KILL_SECONDS = 3


class CannotListenError(Exception):
    """A port is taken, or an address is not this machine's."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve. Ports are TCP ports, `readonly_port` None for no read-only door, `grace_seconds` the time that
    running statements have to finish at the end, `readers` (a door) and `writers` how many statements run at once."""

    path: Path
    port: int
    host: str
    database: str
    readonly_port: int | None
    fsync: bool
    readers: int
    writers: int
    grace_seconds: int


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handling, which would end the process by the signal itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(options: Options) -> int:
    """Serve until a signal says stop; returns the exit code, 0.

    Raises `CannotListenError`, and `DirectoryInUseError` or `ClickHouseError` where the engine does not open.
    """
    doors = [_open("read-write", options.host, options.port, readonly=False)]
    if options.readonly_port is not None:
        doors.append(_open("read-only", options.host, options.readonly_port, readonly=True))
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # a broken form is told to who sent it
    engine = Engine(options.path, options.database, options.fsync)
    connections = Connections(engine)
    ended = asyncio.run(_serve(engine, connections, doors, options))
    sys.stdout.flush()
    sys.stderr.flush()
    if not ended:  # a statement that not even KILL could end must not keep the process
        os._exit(0)
    connections.close()
    engine.close()
    return 0


async def _serve(
    engine: Engine, connections: Connections, doors: list[tuple[Door, socket.socket]], options: Options
) -> bool:
    """Serve all doors until a signal; whether every statement has ended."""
    parser = engine.connect()
    writes = Lane("write", options.writers)
    backend = Backend(engine, connections, Judge(parser, engine.version), writes)
    lanes = [writes]
    servers = []
    for door, listener in doors:
        reads = Lane(f"read-{door.name}", options.readers)
        lanes.append(reads)
        config = uvicorn.Config(
            application(backend, door, reads),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=options.grace_seconds,
            h11_max_incomplete_event_size=_LONGEST_URL_BYTES,
        )
        servers.append((_Server(config), listener))
    _stop_on_signals([server for server, _ in servers])
    sweeper = asyncio.create_task(_sweep(connections))
    await asyncio.gather(*(server.serve(sockets=[listener]) for server, listener in servers))
    sweeper.cancel()
    ended = await _end(engine, lanes)
    if ended:
        parser.close()
    return ended


async def _end(engine: Engine, lanes: list[Lane]) -> bool:
    """Kill what still runs; whether all of it has stopped."""
    for lane in lanes:
        lane.close()
    if any(lane.running for lane in lanes):
        await asyncio.to_thread(engine.kill_all)
    for _ in range(_AFTER_KILL_SECONDS * 20):
        if not any(lane.running for lane in lanes):
            return True
        await asyncio.sleep(0.05)
    return False


def _stop_on_signals(servers: list[_Server]) -> None:
    def stop() -> None:
        for server in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


async def _sweep(connections: Connections) -> None:
    while True:
        await asyncio.sleep(_SESSION_SWEEP_SECONDS)
        await asyncio.to_thread(connections.end_idle)


def _open(name: str, host: str, port: int, *, readonly: bool) -> tuple[Door, socket.socket]:
    listener = _listen(host, port)
    is_local = ipaddress.ip_address(listener.getsockname()[0]).is_loopback
    return Door(name, readonly, is_local), listener


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol written out: asyncio sets TCP_NODELAY only where it is, and without that an answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise CannotListenError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


def _is_news(record: logging.LogRecord) -> bool:
    """Late errors end an answer without its proper end on purpose; the server need not report each."""
    return "without completing response" not in record.getMessage()
