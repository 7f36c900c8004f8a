"""Migrations: numbered SQL files, applied once, in order, and never edited afterwards (house style 15).

Law it keeps: what a database holds is named by the files that made it; a mistake is mended by the next number.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clickhouse_connect.driver.client import Client

from schemas.errors import QuarterhourError

MIGRATIONS = Path(__file__).with_name("migrations")
_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations
(number UInt32, name String, sha256 String, applied DateTime DEFAULT now())
ENGINE = MergeTree ORDER BY number
"""
# Quoted text and comments are passed over whole, so that a semicolon in them ends nothing.
_TOKEN = re.compile(r"'(?:[^'\\]|\\.|'')*'|`[^`]*`|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|;|[^'`\"\-/;]+|.", re.DOTALL)


class MigrationError(QuarterhourError):
    """A migration was edited after it was applied, is missing, is misnamed, or failed; the message names it."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, name and content."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Digest of the file's text, by which an edit is noticed."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """All files of the folder in order; MigrationError for a bad name or a gap in the numbers."""
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        name = _NAME.fullmatch(path.name)
        if name is None:
            raise MigrationError(f"migration {path.name}: not named NNNN_name.sql")
        found.append(Migration(int(name[1]), name[2], path.read_text(encoding="utf-8")))
    for number, migration in enumerate(found, start=1):
        if migration.number != number:
            raise MigrationError(f"migration {migration.number:04d}_{migration.name}: number {number:04d} is missing")
    return found


def migrate(client: Client, folder: Path = MIGRATIONS) -> list[Migration]:
    """Apply what is not applied yet, and return it. MigrationError if an applied one was edited or is gone."""
    client.command(_TABLE)
    applied = {
        number: (name, sha256)
        for number, name, sha256 in client.query("SELECT number, name, sha256 FROM schema_migrations").result_rows
    }
    migrations = read_migrations(folder)
    for migration in migrations[: len(applied)]:
        _check_unedited(migration, applied)
    if len(applied) > len(migrations):
        newest = max(applied)
        raise MigrationError(f"migration {newest:04d}_{applied[newest][0]}: applied here, but there is no such file")
    for migration in migrations[len(applied) :]:
        _apply(client, migration)
    return migrations[len(applied) :]


def drop_all(client: Client) -> None:
    """Drop every table and view of the client's database, what LOADER remembers included: it then loads anew (L5)."""
    found = client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY endsWith(engine, 'View') DESC, name"
    )
    for (name,) in found.result_rows:
        client.command("DROP TABLE IF EXISTS {name:Identifier} SYNC", parameters={"name": name})


def applied_migrations(client: Client) -> int:
    """How many migrations the database has had."""
    return int(client.query("SELECT count() FROM schema_migrations").first_row[0])


def statements(sql: str) -> Iterator[str]:
    """The statements of a file, comments dropped; a semicolon within quotes or a comment ends nothing."""
    current: list[str] = []
    for piece in _TOKEN.findall(sql + ";"):
        if piece.startswith(("--", "/*")):
            current.append(" ")
        elif piece != ";":
            current.append(piece)
        else:
            statement = "".join(current).strip()
            current.clear()
            if statement:
                yield statement


def _check_unedited(migration: Migration, applied: dict[int, tuple[str, str]]) -> None:
    if applied.get(migration.number) != (migration.name, migration.sha256):
        raise MigrationError(
            f"migration {migration.number:04d}_{migration.name}: was edited after it was applied; "
            "restore the file and write the change as the next number"
        )


def _apply(client: Client, migration: Migration) -> None:
    """Each statement may have been applied by an attempt that died midway, so it is made repeatable."""
    for statement in statements(migration.sql):
        try:
            client.command(_CREATE.sub(r"\1 IF NOT EXISTS \2", statement, count=1))
        except Exception as error:
            raise MigrationError(f"migration {migration.number:04d}_{migration.name}: {error}") from error
    client.command(
        "INSERT INTO schema_migrations (number, name, sha256) VALUES ({number:UInt32}, {name:String}, {sha256:String})",
        parameters={"number": migration.number, "name": migration.name, "sha256": migration.sha256},
    )


_CREATE = re.compile(r"^(CREATE (?:TABLE|VIEW|MATERIALIZED VIEW|DICTIONARY)) (?!IF NOT EXISTS)(\w)", re.IGNORECASE)
