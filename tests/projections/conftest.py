"""One embedded ClickHouse for this folder's tests, and a database of its own for each."""

from __future__ import annotations

import os
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from projections.connect import connect, ensure_database
from projections.embedded.process import command, wait_until_ready
from projections.migrate import migrate

START_SECONDS = 60


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an embedded ClickHouse, without a database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("clickhouse")
    address = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command(folder / "data", port, fsync=False), stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until_ready(address, START_SECONDS)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


@pytest.fixture
def database_url(clickhouse_server: str) -> str:
    """The address of an empty database."""
    url = f"{clickhouse_server}/test_{uuid.uuid4().hex}"
    ensure_database(url)
    return url


@pytest.fixture
def client(database_url: str) -> Iterator[Client]:
    """A client of a migrated database, dropped afterwards."""
    connected = connect(database_url)
    migrate(connected)
    yield connected
    connected.command(f"DROP DATABASE `{connected.database}` SYNC")
    connected.close()


@pytest.fixture(scope="session")
def chat_logs() -> Path:
    """The folder of the real chat logs; skips where there is none."""
    named = os.environ.get("QUARTERHOUR_DATA")
    folder = Path(named) if named else Path(__file__).parents[3] / "shared" / "data"
    if not (folder / "ubuntu-irc.csv.gz").is_file():
        pytest.skip(f"no chat logs in {folder}; set QUARTERHOUR_DATA")
    return folder
