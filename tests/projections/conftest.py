"""One ClickHouse for this folder's tests, and a database of its own for each."""

from __future__ import annotations

import asyncio
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from projections.connect import connect, ensure_database
from projections.embedded.process import command, wait_until_ready
from projections.migrate import migrate
from schemas.mails import MailStep
from schemas.topics import MAILS
from scripts.stack.ports import free_port
from tests.chosen import containers_chosen, docker_or_skip
from tests.projections.loading import load_all
from tests.projections.people_world import people_world
from tests.projections.whole_world import T0
from tests.servers import ClickHouseContainer

START_SECONDS = 120


@pytest.fixture(scope="session")
def ports() -> tuple[int, int]:
    """Free ports for the embedded ClickHouse's two doors."""
    if containers_chosen():
        pytest.skip("the read-only door is the embedded server's; a served one has users")
    return free_port(), free_port()


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of an embedded ClickHouse, or of one in a container, without a database."""
    if containers_chosen():
        yield from _contained()
        return
    port, readonly_port = request.getfixturevalue("ports")
    folder = tmp_path_factory.mktemp("clickhouse")
    address = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        arguments = command(folder / "data", port, readonly_port=readonly_port, fsync=False)
        process = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until_ready(address, START_SECONDS)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(60)


def _contained() -> Iterator[str]:
    docker_or_skip()
    server = ClickHouseContainer()
    try:
        asyncio.run(server.start())
        yield server.address
    finally:
        server.stop()


@pytest.fixture
def database_url(clickhouse_server: str) -> str:
    """The address of an empty database."""
    url = f"{clickhouse_server}/test_{uuid.uuid4().hex}"
    ensure_database(url)
    return url


@pytest.fixture(scope="session")
def spare_databases(clickhouse_server: str) -> list[tuple[str, list[object]]]:
    """Migrated databases that a test has emptied and left as they were: making one anew takes a second."""
    return []


@pytest.fixture
def client(clickhouse_server: str, spare_databases: list[tuple[str, list[object]]]) -> Iterator[Client]:
    """A client of an empty, migrated database."""
    if spare_databases:
        url, made = spare_databases.pop()
        connected = connect(url)
    else:
        url = f"{clickhouse_server}/test_{uuid.uuid4().hex}"
        ensure_database(url)
        connected = connect(url)
        migrate(connected)
        made = _made(connected)
    yield connected
    if _made(connected) == made:
        _empty(connected)
        spare_databases.append((url, made))
    else:
        connected.command(f"DROP DATABASE `{connected.database}` SYNC")
    connected.close()


def _made(client: Client) -> list[object]:
    """Which tables there are, by what they were made of, and which migrations they say were applied."""
    tables = "SELECT name, toString(uuid), create_table_query FROM system.tables WHERE database = currentDatabase()"
    migrations = client.query("SELECT groupArray(sha256) FROM schema_migrations").result_rows
    return [migrations, sorted(client.query(tables).result_rows)]


def _empty(client: Client) -> None:
    query = (
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND total_rows > 0 "
        "AND engine LIKE '%MergeTree' AND name != 'schema_migrations'"
    )
    for (name,) in client.query(query).result_rows:
        client.command("TRUNCATE TABLE {name:Identifier} SYNC", parameters={"name": name})


@pytest.fixture(scope="session")
def chat_logs() -> Path:
    """The folder of the real chat logs; skips where there is none."""
    named = os.environ.get("QUARTERHOUR_DATA")
    folder = Path(named) if named else Path(__file__).parents[3] / "shared" / "data"
    if not (folder / "ubuntu-irc.csv.gz").is_file():
        pytest.skip(f"no chat logs in {folder}; set QUARTERHOUR_DATA")
    return folder


@pytest.fixture(scope="session")
def people_database(clickhouse_server: str) -> Iterator[tuple[str, Client]]:
    """The address of, and a client to, the people's world (`people_world`) with two mails; nobody changes it."""
    url = f"{clickhouse_server}/people"
    ensure_database(url)
    client = connect(url)
    migrate(client)
    world = people_world()
    for delivery in ("d1", "d2"):
        step = MailStep(
            delivery, "acme", "acme/low/1", "low_balance", "email", "wanda@example.com", "sent", T0, T0, None, 1, 1,
            message_id=f"<{delivery}@quarterhour.example>", detail="250 OK",
        )  # fmt: skip
        world.log.append(MAILS, 0, msgspec.json.encode(step))
    asyncio.run(load_all(client, world.log))
    yield url, client
    client.command("DROP DATABASE people SYNC")
    client.close()
