"""A real server process on a free port, shared by a module's tests, and its clients."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest

from projections.embedded.process import command, wait_until_ready
from scripts.stack.ports import free_port

_START_SECONDS = 120
_STOP_SECONDS = 60
_numbers = itertools.count()


@dataclass(frozen=True)
class Served:
    """A running server: its process, its data directory, its two ports, and the file its stderr goes to."""

    process: subprocess.Popen[bytes]
    path: Path
    port: int
    readonly_port: int
    stderr: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def readonly_url(self) -> str:
        return f"http://127.0.0.1:{self.readonly_port}"

    def client(self, **options: Any) -> Any:
        return clickhouse_connect.get_client(host="127.0.0.1", port=self.port, **options)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.terminate()
        return self.process.wait(_STOP_SECONDS)


def start(path: Path) -> Served:
    port, readonly_port = free_port(), free_port()
    stderr = path.parent / f"{path.name}.stderr"
    with open(stderr, "ab") as errors:
        process = subprocess.Popen(command(path, port, readonly_port=readonly_port), stderr=errors)
    served = Served(process, path, port, readonly_port, stderr)
    try:
        wait_until_ready(served.url, _START_SECONDS)
    except TimeoutError:
        process.kill()
        process.wait()
        raise
    return served


@contextlib.contextmanager
def running(path: Path) -> Iterator[Served]:
    served = start(path)
    try:
        yield served
    finally:
        if served.process.poll() is None:
            served.process.kill()
        served.process.wait()


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests that leave it running."""
    with running(tmp_path_factory.mktemp("embedded") / "data") as server:
        yield server
        assert server.stop() == 0
        assert server.stderr.read_text() == "", "a server that was only used as intended has nothing to report"


@pytest.fixture
def client(served: Served) -> Iterator[Any]:
    with served.client() as connected:
        yield connected


@pytest.fixture
def table(client: Any) -> str:
    """An empty table of its own: (id UInt64, at DateTime64(6, 'UTC'), note String)."""
    name = f"t{next(_numbers)}"
    client.command(
        f"CREATE TABLE {name} (id UInt64, at DateTime64(6, 'UTC'), note String) ENGINE = MergeTree ORDER BY id"
        " SETTINGS non_replicated_deduplication_window = 100"
    )
    return name
