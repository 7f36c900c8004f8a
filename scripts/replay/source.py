"""Event logs as files: `workspace,user,time_us[,chars][,delay_us]`, one line one message of an end user."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import QuarterhourError


class BadLog(QuarterhourError):
    """An event log cannot be read; the message names file, line, column and what was found."""


@dataclass(frozen=True, slots=True)
class Message:
    """One line: `time_us` when it happened (microseconds UTC), `delay_us` how much later it arrives."""

    line: int
    workspace: str
    user: str
    time_us: int
    chars: int | None
    delay_us: int


@dataclass(frozen=True, slots=True)
class EventLog:
    """A whole log. `digest` identifies the content; `app` and `channel` are what its messages are published under."""

    name: str
    digest: str
    app: str
    channel: str
    messages: tuple[Message, ...]

    @property
    def source(self) -> str:
        """The CloudEvents source of its events."""
        return f"/replay/{self.digest[:16]}"


def read_log(path: Path, app: str = "assistant", channel: str = "chat") -> EventLog:
    """Read a .csv or .csv.gz file; BadLog if it is none or a line is off."""
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BadLog(f"{path}: cannot be read as CSV: {error}") from error
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return EventLog(name, digest, app, channel, tuple(_messages(str(path), csv.DictReader(io.StringIO(text)))))


def _messages(where: str, rows: Iterable[dict[str, str | None]]) -> Iterator[Message]:
    for line, row in enumerate(rows, start=1):
        for column in ("workspace", "user", "time_us"):
            if not row.get(column):
                raise BadLog(f"{where}, line {line + 1}: column {column} is missing or empty")
        yield Message(
            line,
            str(row["workspace"]),
            str(row["user"]),
            _whole(where, line, "time_us", row["time_us"]),
            _whole(where, line, "chars", row["chars"]) if row.get("chars") else None,
            _whole(where, line, "delay_us", row["delay_us"]) if row.get("delay_us") else 0,
        )


def _whole(where: str, line: int, column: str, text: str | None) -> int:
    try:
        value = int(text or "")
    except ValueError:
        raise BadLog(f"{where}, line {line + 1}: {column} must be a whole number, found {text!r}") from None
    if value < 0:
        raise BadLog(f"{where}, line {line + 1}: {column} must not be negative, found {value}")
    return value
