"""SQL for analysts: the examples work on the read-only door, and the row policies name what there is."""

from __future__ import annotations

import asyncio
import re
import urllib.error
import urllib.request
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

import projections
from projections.migrate import statements
from tests.projections.loading import load_all
from tests.projections.small_world import PRICE, small_world

SERVED = Path(projections.__file__).with_name("served")
FILES = sorted(SERVED.glob("*.sql"))
_DEFINITIONS = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
README = (SERVED / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_statement_parses_with_the_engines_own_parser(client: Client, file: Path) -> None:
    found = list(statements(file.read_text(encoding="utf-8")))
    assert found
    for statement in found:
        assert client.query("SELECT formatQuery({text:String})", parameters={"text": statement}).first_row[0]


def test_policies_stand_on_every_table_that_tenants_may_read(client: Client) -> None:
    """Nothing without a policy is granted, and nothing is named that is not there."""
    text = "".join(file.read_text(encoding="utf-8") for file in FILES)
    named = set(re.findall(r"quarterhour\.(\w+)", text))
    engines = dict(
        client.query("SELECT name, engine FROM system.tables WHERE database = currentDatabase()").result_rows
    )
    assert named <= set(engines)
    granted = set(re.findall(r"GRANT SELECT ON quarterhour\.(\w+) TO quarterhour_tenants", text))
    tables = {name for name in granted if engines[name] != "View"}
    policies = re.findall(r"CREATE ROW POLICY[^;]*;", text)
    assert len(policies) == 3  # nothing by default, all for everyone else, one's own
    for policy in policies:
        assert set(re.findall(r"quarterhour\.(\w+)", policy)) == tables
    query = "SELECT table FROM system.columns WHERE database = currentDatabase() AND name = 'workspace'"
    asked = {name for name, text in client.query(_DEFINITIONS).result_rows if "{workspace:String}" in text}
    assert granted <= {row[0] for row in client.query(query).result_rows} | asked


async def test_the_examples_work_on_the_read_only_door(client: Client, ports: tuple[int, int]) -> None:
    await load_all(client, small_world().log)
    sql = re.search(r'--data "(SELECT [^"]+)"', README)
    assert sql is not None
    url = f"http://127.0.0.1:{ports[1]}/?database={client.database}"
    lines = (await asyncio.to_thread(_ask, url, sql[1])).splitlines()
    assert lines[1:] == ['"2025-12-31","free",1,0.2', '"2026-02-09","free",1,0.2']
    with clickhouse_connect.get_client(host="127.0.0.1", port=ports[1], database=client.database) as reader:
        example = re.search(r'query_df\(\s+"(SELECT [^"]+)"', README)
        assert example is not None
        frame = reader.query_df(example[1], parameters={"workspace": "acme"})
        assert frame["units"].sum() == 2
        assert reader.query_arrow("SELECT sum(micros) AS m FROM billed_daily").to_pydict() == {"m": [2 * PRICE]}


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO grants (workspace) VALUES ('x')", "DROP TABLE grants", "SELECT * FROM file('/etc/passwd')"],
)
def test_the_read_only_door_refuses_the_rest(client: Client, ports: tuple[int, int], statement: str) -> None:
    url = f"http://127.0.0.1:{ports[1]}/?database={client.database}"
    with pytest.raises(urllib.error.HTTPError) as refused:
        _ask(url, statement)
    refused.value.close()


def _ask(url: str, statement: str) -> str:
    with urllib.request.urlopen(url, data=statement.encode()) as answer:
        return str(answer.read().decode())
