"""Migrations are applied once, in order, and never edited afterwards (house style 15)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from projections.connect import ClickHouseUnavailable, connect, parse_url
from projections.migrate import MIGRATIONS, MigrationError, migrate, read_migrations, statements
from schemas.errors import ConfigurationError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the migrations, to be tampered with."""
    return Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))


def test_migrations_apply_once(database_url: str) -> None:
    client = connect(database_url)
    assert migrate(client) == read_migrations()
    assert migrate(client) == []
    assert client.query("SELECT count() FROM schema_migrations").first_row[0] == len(read_migrations())
    client.close()


def test_what_was_admitted_before_its_migration_is_part_of_daily_usage_once(database_url: str, folder: Path) -> None:
    """U6: also where the migration died after filling the table and is applied again."""
    newer = [path for path in folder.glob("*.sql") if path.name >= "0013"]
    for path in newer:
        path.unlink()
    client = connect(database_url)
    migrate(client, folder)
    body = '{"channel":"web","units":[{"kind":"session","start_us":1767225600000000,"delta":1,"billable_delta":1}]}'
    values = f"('acme', 'late_admitted', 'bot', '{body}')"
    client.command(f"INSERT INTO ledger_changes (workspace, change, app, body) VALUES {values}")
    for _ in range(2):
        migrate(client)
        client.command("ALTER TABLE schema_migrations DELETE WHERE number > 12 SETTINGS mutations_sync = 2")
    sums = "SELECT workspace, toString(day), app, channel, kind, sum(units), sum(billable_units) FROM usage_daily"
    found = client.query(f"{sums} GROUP BY ALL").result_rows
    assert found == [("acme", "2026-01-01", "bot", "web", "session", 1, 1)]
    client.close()


def test_an_edited_migration_is_refused_by_name(client: Client, folder: Path) -> None:
    edited = folder / "0002_interactions.sql"
    edited.write_text(edited.read_text() + "\n-- harmless\n")
    with pytest.raises(MigrationError, match=r"0002_interactions: was edited"):
        migrate(client, folder)


def test_a_migration_that_is_gone_is_refused(client: Client, folder: Path) -> None:
    sorted(folder.glob("*.sql"))[-1].unlink()
    with pytest.raises(MigrationError, match="no such file"):
        migrate(client, folder)


def test_a_gap_in_the_numbers_is_refused(folder: Path) -> None:
    (folder / "0001_loading.sql").unlink()
    with pytest.raises(MigrationError, match="0001 is missing"):
        read_migrations(folder)


def test_a_migration_that_died_midway_is_completed(database_url: str) -> None:
    client = connect(database_url)
    first = next(statements(read_migrations()[0].sql))
    client.command(first)
    assert migrate(client) == read_migrations()
    client.close()


def test_the_next_number_is_applied_alone(client: Client, folder: Path) -> None:
    number = len(read_migrations()) + 1
    (folder / f"{number:04d}_more.sql").write_text("CREATE TABLE more (a UInt8) ENGINE = MergeTree ORDER BY a;")
    assert [m.name for m in migrate(client, folder)] == ["more"]
    assert client.query("SELECT count() FROM more").first_row[0] == 0


def test_a_semicolon_in_a_string_or_comment_ends_no_statement() -> None:
    sql = "SELECT ';', 'it''s; -- no comment'; -- a; b\n/* c; d */ SELECT `a;b` FROM \"x;y\"\n"
    assert list(statements(sql)) == ["SELECT ';', 'it''s; -- no comment'", 'SELECT `a;b` FROM "x;y"']


def test_an_address_without_a_server_is_a_clear_error_without_the_password() -> None:
    with pytest.raises(ClickHouseUnavailable, match=r"no ClickHouse at http://127\.0\.0\.1:1/quarterhour") as raised:
        connect("http://someone:secret@127.0.0.1:1/quarterhour")
    assert "secret" not in str(raised.value)


def test_an_address_names_all_its_parts() -> None:
    address = parse_url("http://ann:p%40ss@ch:8124/billing")
    assert (address.host, address.port, address.user, address.password) == ("ch", 8124, "ann", "p@ss")
    assert (address.database, address.secure) == ("billing", False)
    with pytest.raises(ConfigurationError, match="CLICKHOUSE_URL"):
        parse_url("clickhouse://host")
