"""The page's way to ClickHouse: one client, made when first needed, and made again after ClickHouse was away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.exceptions import Error as ClickHouseError

from projections.connect import ClickHouseUnavailable, connect, parse_url
from schemas.errors import QuarterhourError, excerpt

log = logging.getLogger("quarterhour.page")
Answer = TypeVar("Answer")


class NotReady(QuarterhourError):
    """ClickHouse is away, or holds no tables yet; the message says so to a reader."""


class Database:
    """Runs typed queries; NotReady instead of the driver's errors for what waiting mends."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._address = parse_url(url)
        self._lock = threading.Lock()
        self._client: Client | None = None

    def ask(self, question: Callable[[Client], Answer]) -> Answer:
        """The answer. Safe from several threads."""
        try:
            return question(self._connected())
        except DatabaseError as error:
            if any(name in str(error) for name in ("UNKNOWN_TABLE", "UNKNOWN_DATABASE", "UNKNOWN_IDENTIFIER")):
                raise NotReady("The tables are not there yet: LOADER makes them when it starts.") from error
            raise
        except (ClickHouseError, ClickHouseUnavailable, OSError) as error:
            self._client = None
            log.warning("ClickHouse at %s does not answer: %s", self._address, excerpt(str(error)))
            raise NotReady("ClickHouse does not answer.") from error

    def _connected(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = connect(self._url)
            return self._client
