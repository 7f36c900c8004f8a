"""Row policies in effect: what a workspace's reader sees of every table and view that `served/2_tenants.sql` grants.

The embedded engine has one user and takes no CREATE ROW POLICY, but it knows policies from its configuration: the same
condition on the same tables, in the same engine as a server's. That the statements create them is a server's to show.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import projections
from projections.connect import connect, ensure_database
from projections.embedded.process import command, wait_until_ready
from projections.migrate import migrate
from tests.projections.funded_world import funded_world
from tests.projections.loading import load_all

SQL = Path(projections.__file__).with_name("served")
TENANTS = (SQL / "2_tenants.sql").read_text(encoding="utf-8")
GRANTED = re.findall(r"GRANT SELECT ON quarterhour\.(\w+) TO", TENANTS)
POLICY = re.search(r"ROW POLICY[^;]*USING (workspace = 'WORKSPACE') TO", (SQL / "3_tenant.sql").read_text())
TABLES = sorted(set(re.findall(r"quarterhour\.(\w+)", TENANTS[TENANTS.index("ROW POLICY") :])))
RANGE = "first = '2026-02-01', last = '2026-04-30', zone = 'UTC'"
Reader = Callable[[str, list[str]], list[Any]]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Reads a directory that holds `acme`, and a row of `rival` in every table, with a policy or without."""
    assert POLICY is not None
    condition = POLICY[1]
    path = tmp_path_factory.mktemp("tenants") / "data"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(command(path, port, fsync=False))
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", 60)
        url = f"http://127.0.0.1:{port}/quarterhour"
        ensure_database(url)
        with connect(url) as client:
            migrate(client)
            asyncio.run(load_all(client, funded_world().log))
            for table in TABLES:
                client.command(f"INSERT INTO {table} (workspace) VALUES ('rival')")
            for statement in _OF_RIVAL:
                client.command(statement)
    finally:
        process.terminate()
        process.wait(30)

    def read(workspace: str, queries: list[str]) -> list[Any]:
        using = condition.replace("WORKSPACE", workspace) if workspace else "1"
        arguments = [str(path), "quarterhour", using, json.dumps(TABLES), json.dumps(queries)]
        found = subprocess.run(
            [sys.executable, "-m", "tests.projections.tenant_reader", *arguments], capture_output=True, check=True
        )
        answers: list[Any] = json.loads(found.stdout.splitlines()[-1])
        return answers

    return read


def test_every_table_and_view_shows_a_reader_their_own_workspace_and_nothing_else(reader: Reader) -> None:
    plain = [name for name in GRANTED if name not in _WITH_PARAMETERS]
    by_hand = [
        f"SELECT DISTINCT workspace FROM merge('quarterhour', '^({'|'.join(TABLES)})$') WHERE workspace != 'acme'",
        "SELECT count() FROM ledger_entries WHERE workspace = 'rival'",
        "SELECT count() FROM ledger_entries PREWHERE workspace = 'rival'",
        "SELECT max(workspace) FROM (SELECT workspace FROM grants UNION ALL SELECT workspace FROM alerts)",
        "SELECT countIf(b.workspace = 'rival') FROM ledger_entries a RIGHT JOIN ledger_parts b "
        "ON a.sequence = b.sequence WHERE a.sequence = 0",
    ]
    own = [f"SELECT DISTINCT workspace FROM {name}" for name in plain]
    asked = [f"SELECT count() FROM {name}(workspace = 'rival'{more})" for name, more in _WITH_PARAMETERS.items()]
    queries = [*own, *asked, *by_hand]
    unlimited, limited = reader("", queries), reader("acme", queries)
    for name, everything, seen in zip(plain, unlimited, limited, strict=False):
        assert ["rival"] in everything or name in _ONLY_LIVE, name
        assert seen in ([["acme"]], []), name
    assert [["acme"]] in limited
    for query, seen in zip(asked, limited[len(own) : len(own) + len(asked)], strict=True):
        assert seen == [[0]], query
    assert limited[-5:] == [[], [[0]], [[0]], [["acme"]], [[0]]]
    assert ["rival"] in unlimited[-5]
    assert unlimited[-4:] == [[[1]], [[1]], [["rival"]], [[1]]]


_WITH_PARAMETERS = {
    "trend_daily": ", first = '2026-02-01', last = '2026-04-30', zone = 'UTC'", "trend_weekly": f", {RANGE}",
    "trend_monthly": f", {RANGE}", "trend_last_months": ", months = 3, zone = 'UTC'", "account_credits": "",
    "charges_of_period": ", first = '1970-01-01', last = '1970-01-02', zone = 'UTC'",
    "ledger_of_period": ", first = '1970-01-01', last = '1970-01-02', zone = 'UTC'",
}  # fmt: skip
_CHANGES = (
    "app_created", "plan_taken", "contract_began", "support_taken", "person_changed", "collaborator_added",
    "licence_assigned", "payment_requested",
)  # fmt: skip
_OF_RIVAL = (
    "INSERT INTO ledger_changes (workspace, sequence, change, app) "
    f"SELECT 'rival', 1, arrayJoin({list(_CHANGES)}), 'bot'",
    "INSERT INTO ledger_changes (workspace, change, body) "
    "VALUES ('rival', 'late_admitted', '{\"units\":[{\"kind\":\"conversation\"}]}')",
    "INSERT INTO interactions (workspace, routed, time) VALUES ('rival', true, 0), ('rival', true, 1)",
    "INSERT INTO ledger_charges (workspace, pool, sign) VALUES ('rival', 'bot@0', 1)",
    "INSERT INTO alerts (workspace, recipients) VALUES ('rival', [('workspace_owner', 'eve', '')])",
)
"""What the views that look for something need of the other workspace, so that there is something to hide."""
_ONLY_LIVE = {"conversations", "sessions", "conversation_sessions"}
