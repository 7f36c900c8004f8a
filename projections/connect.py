"""One address for ClickHouse, served or embedded: `http://user:password@host:port/database`.

Leaves to others: which tables there are (`projections.migrate`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error as ClickHouseError

from schemas.errors import ConfigurationError

DEFAULT_DATABASE = "quarterhour"
_CONNECT_SECONDS = 5
# A reconciliation of ten million events takes minutes on a small machine.
_RECEIVE_SECONDS = 600


class ClickHouseUnavailable(ConfigurationError):
    """No ClickHouse answers at the address, or it refuses us; the message names address and cause, not the password."""


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed `CLICKHOUSE_URL`."""

    host: str
    port: int
    user: str
    password: str
    database: str
    secure: bool

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.host}:{self.port}/{self.database}"


def parse_url(url: str) -> Address:
    """The parts of an address; ConfigurationError says what is wrong with it."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"CLICKHOUSE_URL: {_shown(url)!r} is not http://user:password@host:port/database")
    database = parts.path.strip("/") or DEFAULT_DATABASE
    if not database.isidentifier():
        raise ConfigurationError(f"CLICKHOUSE_URL: {database!r} is not a database name")
    secure = parts.scheme == "https"
    port = parts.port or (8443 if secure else 8123)
    user, password = unquote(parts.username or "default"), unquote(parts.password or "")
    return Address(parts.hostname, port, user, password, database, secure)


def connect(url: str) -> Client:
    """A client of that address and database; `ClickHouseUnavailable` says why there is none."""
    return _client(parse_url(url))


def beside(url: str, suffix: str) -> str:
    """The address of another database of the same server: the name of this one with a suffix."""
    return urlsplit(url)._replace(path=f"/{parse_url(url).database}{suffix}").geturl()


def ensure_database(url: str) -> None:
    """Create the address's database (Atomic, so that every kind of view works) if it is not there."""
    address = parse_url(url)
    client = _client(replace(address, database="default"))
    try:
        client.command(f"CREATE DATABASE IF NOT EXISTS `{address.database}` ENGINE = Atomic")
    finally:
        client.close()


def _client(address: Address) -> Client:
    options: dict[str, Any] = {
        # No server-side session: one client may be used by several threads, and nothing leaks between queries.
        "autogenerate_session_id": False,
        "connect_timeout": _CONNECT_SECONDS,
        "send_receive_timeout": _RECEIVE_SECONDS,
        "secure": address.secure,
        # Instants come back with their time zone, which is UTC in every table.
        "tz_mode": "aware",
    }
    try:
        return clickhouse_connect.get_client(
            host=address.host, port=address.port, username=address.user, password=address.password,
            database=address.database, **options,
        )  # fmt: skip
    except ClickHouseError as error:
        raise ClickHouseUnavailable(f"no ClickHouse at {address}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _shown(url: str) -> str:
    """The address without its user and password."""
    return url.rsplit("@", 1)[-1]
