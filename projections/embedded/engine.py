"""The embedded ClickHouse itself: one data directory, one engine, many connections.

Owns the directory exclusively: a second owner, in this process or another, is refused before the engine starts. Every
request works on a connection of its own, so that USE, SET and temporary tables do not leak. Nothing here knows HTTP.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projections.embedded.config import write_config
from projections.embedded.errors import ClickHouseError, from_engine

_LOCK_FILE = "status"


class DirectoryInUseError(Exception):
    """Another process owns the data directory."""


@dataclass(frozen=True, slots=True)
class Format:
    """An output format: its name as ClickHouse spells it, and the Content-Type of its bytes."""

    name: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What a statement read and wrote, for X-ClickHouse-Summary."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0


class Engine:
    """An open engine. `close` ends it; until then connections may be opened from any thread."""

    def __init__(self, path: Path, database: str, fsync: bool) -> None:
        """Open the directory, creating it and the Atomic `database` where missing.

        Raises `DirectoryInUseError` where another process has it, `ClickHouseError` where the engine does not start.
        """
        path.mkdir(parents=True, exist_ok=True)
        self.database = database
        self._path = str(path.resolve())
        _refuse_second_owner(path)
        os.environ["TZ"] = "UTC"  # read by the engine when it is loaded: one time zone on every machine
        import chdb  # here, because loading it takes most of a second and reads TZ

        self._chdb = chdb
        self.version = str(chdb.engine_version)
        with tempfile.TemporaryDirectory() as config, self.errors():
            self._keeper = chdb.connect(f"{self._path}?config-file={write_config(Path(config), fsync)}")
            self._keeper.query(f"CREATE DATABASE IF NOT EXISTS {quoted_name(database)} ENGINE = Atomic")
        self.timezone = self.value("SELECT timezone()")
        self.formats = dict(self._read_formats())

    def connect(self) -> Any:
        """A fresh connection, in the engine's `default` database and with default settings."""
        return self._chdb.connect(self._path)

    def value(self, query: str) -> str:
        """The single value a query of ours answers with, as tab-separated text without its line end."""
        with contextlib.closing(self.connect()) as connection, self.errors():
            return bytes(connection.query(query, "TabSeparated").bytes()).decode().removesuffix("\n")

    def kill(self, mark: str) -> None:
        """Ask every running statement whose text contains `mark` to stop; it ends soon after, not at once."""
        half = len(mark) // 2  # in two halves, so that the asking statement does not contain the mark itself
        needle = f"concat({quoted_text(mark[:half])}, {quoted_text(mark[half:])})"
        self.value(f"KILL QUERY WHERE position(query, {needle}) > 0 ASYNC FORMAT TabSeparated")

    def kill_all(self) -> None:
        """Ask every running statement to stop."""
        self.value("KILL QUERY WHERE 1 ASYNC FORMAT TabSeparated")

    def close(self) -> None:
        """Close the engine; connections still open must be closed before."""
        self._keeper.close()

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turns whatever the engine raises inside into `ClickHouseError`."""
        try:
            yield
        except ClickHouseError:
            raise
        except RuntimeError as error:
            raise from_engine(error, self.version) from None
        except Exception as error:
            if type(error).__name__ != "ChdbError":
                raise
            raise from_engine(error, self.version) from None

    def _read_formats(self) -> Iterator[tuple[str, Format]]:
        for line in self.value("SELECT name, content_type FROM system.formats").splitlines():
            name, content_type = line.split("\t")
            yield name.lower(), Format(name, content_type or "application/octet-stream")


def apply_settings(connection: Any, settings: Mapping[str, str]) -> None:
    """SET the given settings (names already checked to be names) on a connection."""
    if settings:
        connection.query("SET " + ", ".join(f"{name} = {quoted_text(value)}" for name, value in settings.items()))


def quoted_text(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted_name(name: str) -> str:
    """`name` as an SQL identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _refuse_second_owner(path: Path) -> None:
    """Look at the engine's own lock first: the engine itself would say it in several lines."""
    with open(path / _LOCK_FILE, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DirectoryInUseError(f"{path} is in use by another process") from None
