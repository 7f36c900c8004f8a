"""A grant: credit given once, with what remains of it, and the order in which grants are used (C5)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from msgspec import Struct

from schemas.ledger import GrantOpened

FOR_EVER = 2**62
"""Stands for "no expiry" where instants are compared."""
GRANT = "grant:"
"""What ledger accounts of grants begin with."""


class Grant(Struct, gc=False):
    """One grant. `account` is its ledger account; `expires_us` is `FOR_EVER` for credit that does not expire.

    `expired` says that the clock's `now` has passed the expiry: alerts no longer count it. `warned_days` is the nearest
    warning of A1 that has passed. `holds` counts the open charges that a reversal could return to it, `page` is where
    it is written (derived).
    """

    account: str
    credit: str
    amount_micros: int
    granted_us: int
    expires_us: int
    app: str | None
    remaining_micros: int = 0
    expired: bool = False
    warned_days: int | None = None
    holds: int = 0
    page: int = 0

    @property
    def is_free(self) -> bool:
        """Free credit, as opposed to paid."""
        return self.credit == "free"

    def usable_at(self, start_us: int) -> bool:
        """Whether a unit that starts then may use it (C3)."""
        return start_us < self.expires_us

    def fits(self, app: str) -> bool:
        """Whether the app may use it (C4)."""
        return self.app is None or self.app == app


def grant_of(opened: GrantOpened, now_us: int) -> Grant:
    """A grant as it is before its opening line is posted."""
    expires_us = FOR_EVER if opened.expires_us is None else opened.expires_us
    return Grant(
        GRANT + opened.grant_id,
        opened.credit,
        opened.amount_micros,
        opened.granted_us,
        expires_us,
        opened.app,
        expired=expires_us <= now_us,
    )


def order_of_use(grant: Grant) -> tuple[bool, bool, int, int, str]:
    """C5: free before paid; free: soonest expiry first; paid: an app's own before shared; then oldest, then id."""
    if grant.credit == "free":
        return (False, False, grant.expires_us, grant.granted_us, grant.account)
    return (True, grant.app is None, 0, grant.granted_us, grant.account)


def _expiry(grant: Grant) -> int:
    return grant.expires_us


class Purse:
    """The grants with something left, kept in the order of use, so that a charge looks at few of them."""

    __slots__ = ("free", "paid")

    def __init__(self) -> None:
        self.free: list[Grant] = []
        self.paid: dict[str | None, list[Grant]] = {}

    def for_app(self, app: str, start_us: int) -> Iterator[Grant]:
        """The grants an app may use for a unit that starts then, first to use first (C3)."""
        yield from self.free_after(start_us)
        yield from self.paid.get(app, ())
        yield from self.paid.get(None, ())

    def free_after(self, start_us: int) -> Iterator[Grant]:
        """The free grants that a unit may use, soonest expiry first."""
        for at in range(bisect_right(self.free, start_us, key=_expiry), len(self.free)):
            yield self.free[at]

    def add(self, grant: Grant) -> None:
        """The grant has something left again."""
        insort(self._row(grant), grant, key=order_of_use)

    def remove(self, grant: Grant) -> None:
        """Nothing of the grant is left."""
        row = self._row(grant)
        del row[bisect_left(row, order_of_use(grant), key=order_of_use)]
        if not row and grant.credit != "free":
            del self.paid[grant.app]

    def _row(self, grant: Grant) -> list[Grant]:
        return self.free if grant.credit == "free" else self.paid.setdefault(grant.app, [])
