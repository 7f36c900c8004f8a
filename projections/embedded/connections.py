"""The connection a request works on: a fresh one, or its session's.

A request without a session leaves nothing behind. A session keeps its connection, and with it temporary tables, USE
and SET; the settings and database in a request's URL hold for that request alone, as in ClickHouse. A session serves
one request at a time, and ends when it was idle for its time-out.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from projections.embedded.engine import Engine, apply_settings, quoted_name, quoted_text
from projections.embedded.errors import refusal
from projections.embedded.request import Request

_CURRENT_DATABASE = "SELECT currentDatabase()"


@dataclass(slots=True)
class _Session:
    connection: Any
    idle_seconds: int
    expires_at: float = 0.0
    busy: bool = False


class Connections:
    """Hands out connections, one request each. Methods may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def of(self, request: Request, readonly: int) -> Iterator[Any]:
        """The connection of `request`, its database and settings applied, `readonly` (0, 1, 2) forced last.

        A read-only request never meets a session: it could not leave anything in one. Raises `ClickHouseError`, of
        the engine for unknown settings and databases, SESSION_NOT_FOUND and SESSION_IS_LOCKED.
        """
        with self._engine.errors():
            if readonly or not request.session_id:
                with contextlib.closing(self._engine.connect()) as connection:
                    self._prepare(connection, request.database or self._engine.database, request.settings, readonly)
                    yield connection
                return
            session = self._claim(request)
            try:
                with _settings_for_now(session.connection, request):
                    yield session.connection
            finally:
                with self._lock:
                    session.busy = False
                    session.expires_at = time.monotonic() + session.idle_seconds

    def end_idle(self) -> None:
        """Close the sessions whose time is over."""
        now = time.monotonic()
        with self._lock:
            over = [name for name, session in self._sessions.items() if not session.busy and session.expires_at <= now]
            ended = [self._sessions.pop(name) for name in over]
        for session in ended:
            session.connection.close()

    def close(self) -> None:
        """Close every session, the busy ones too."""
        with self._lock:
            sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.connection.close()

    def _prepare(self, connection: Any, database: str, settings: Mapping[str, str], readonly: int) -> None:
        connection.query(f"USE {quoted_name(database)}")
        forced = {"readonly": str(readonly)} if readonly else {}
        apply_settings(connection, {**settings, **forced})

    def _claim(self, request: Request) -> _Session:
        self.end_idle()
        with self._lock:
            session = self._sessions.get(request.session_id)
            if session is None:
                if request.session_must_exist:
                    raise refusal("SESSION_NOT_FOUND", f"Session {request.session_id} not found.")
                session = _Session(self._engine.connect(), request.session_seconds)
                session.connection.query(f"USE {quoted_name(self._engine.database)}")
                self._sessions[request.session_id] = session
            if session.busy:
                raise refusal("SESSION_IS_LOCKED", f"Session {request.session_id} is locked by a concurrent client.")
            session.busy = True
            session.idle_seconds = request.session_seconds
            return session


@contextlib.contextmanager
def _settings_for_now(connection: Any, request: Request) -> Iterator[None]:
    """Apply a request's settings and database to a session's connection, and take them back afterwards."""
    before = _current(connection, request.settings)
    home = _answer(connection, _CURRENT_DATABASE) if request.database else ""
    moves = request.database != home
    try:
        if moves:
            connection.query(f"USE {quoted_name(request.database)}")
        apply_settings(connection, request.settings)
        yield
    finally:
        if before:
            connection.query("SET " + ", ".join(f"{name} = {value}" for name, value in before.items()))
        if moves and _answer(connection, _CURRENT_DATABASE) == request.database:  # else the statement was a USE
            connection.query(f"USE {quoted_name(home)}")


def _current(connection: Any, names: Mapping[str, str]) -> dict[str, str]:
    """What the named settings are now, as SQL: DEFAULT, or a quoted value. Unknown names are left out."""
    if not names:
        return {}
    listed = ", ".join(quoted_text(name) for name in names)
    query = f"SELECT name, changed, value FROM system.settings WHERE name IN ({listed})"  # noqa: S608 - quoted above
    rows = _answer(connection, query)
    current = {}
    for row in rows.splitlines():
        name, changed, value = row.split("\t", 2)
        current[name] = "'" + value.replace("'", "\\'") + "'" if changed == "1" else "DEFAULT"
    return current


def _answer(connection: Any, query: str) -> str:
    return bytes(connection.query(query, "TabSeparated").bytes()).decode().removesuffix("\n")
