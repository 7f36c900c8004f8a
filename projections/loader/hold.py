"""A hold on loading: while a rebuild swaps tables, no loader may begin.

It is a claim in `loaders` like a loader's own (`journal`), so the loader at work stops before its next data; and one
that starts waits until the hold is released, or has not been renewed for a minute because its holder is dead.
"""

from __future__ import annotations

import time
import uuid

from clickhouse_connect.driver.client import Client

HELD, RELEASED = "rebuild/", "released/"
_EXPIRES_SECONDS = 60
_RENEWED_SECONDS = 10.0
_POLL_SECONDS = 0.25
_IS_HELD = f"""
SELECT argMax(
    startsWith(owner, '{HELD}') AND started > now() - INTERVAL {_EXPIRES_SECONDS} SECOND, (epoch, started, owner)
)
FROM loaders
"""  # noqa: S608 - constants of ours


class Hold:
    """A hold on the client's database; `take` it, `renew` it now and then, `release` it."""

    def __init__(self, client: Client, epoch: int) -> None:
        self._client = client
        self._epoch = epoch
        self._owner = f"{HELD}{uuid.uuid4()}"
        self._renewed = 0.0

    @classmethod
    def take(cls, client: Client) -> Hold:
        """Stop whoever loads, before its next data."""
        hold = cls(client, int(client.query("SELECT max(epoch) FROM loaders").first_row[0]) + 1)
        hold.renew()
        return hold

    def renew(self) -> None:
        """Say that the holder is alive."""
        if time.monotonic() - self._renewed > _RENEWED_SECONDS:
            self._write(self._epoch, self._owner)
            self._renewed = time.monotonic()

    def is_newest(self) -> bool:
        """Whether nobody has claimed the database since, as one may when the hold was not renewed for too long."""
        newest = self._client.query("SELECT max(epoch), uniqExactIf(owner, epoch >= {epoch:UInt64}) FROM loaders",
                                    parameters={"epoch": self._epoch}).first_row  # fmt: skip
        return (int(newest[0]), int(newest[1])) == (self._epoch, 1)

    def release(self) -> None:
        """Let loaders begin."""
        self._write(self._epoch + 1, self._owner.replace(HELD, RELEASED))

    def _write(self, epoch: int, owner: str) -> None:
        self._client.insert("loaders", [[epoch, owner]], column_names=["epoch", "owner"])


def wait_while_held(client: Client) -> None:
    """Return as soon as nobody holds the database. Blocking."""
    while client.query(_IS_HELD).first_row[0]:
        time.sleep(_POLL_SECONDS)
