"""What a decision is made at, and what it is: at most one ledger record (law 4), and alerts."""

from __future__ import annotations

from typing import NamedTuple

from schemas.alerts import Alert
from schemas.ledger import LedgerRecord
from schemas.payments import PaymentRequest
from schemas.topics import INBOX
from schemas.units import Origin
from streams.accounts.grants import Grant
from streams.accounts.state import Clock


class Moment(NamedTuple):
    """Where in the inbox a fact stands, and the clock there; `output_index` numbers its next output (law 2)."""

    partition: int
    offset: int
    clock: Clock
    output_index: int = 0

    def origin(self, after: int = 0) -> Origin:
        """The origin of the next output, or of the one so many after it."""
        return Origin(INBOX, self.partition, self.offset, self.output_index + after)


class ClockMoved(NamedTuple):
    """The fact that the clock reached `Moment.clock`, for an account that has something due by it."""


class Decision(NamedTuple):
    """What follows from one fact.

    Beside record and alerts, what only memory holds: `raised` balance alerts (A2), the start a unit `moved` to at the
    same price, the command `seen` with its digest (law 3), from a `stranger` or not, the `payment` settled and what it
    brought, the late events `admitted` (U6) and the forgotten grants `recalled` that get
    something back (C8). `aside` says why the fact cannot be honoured (then nothing else is set).
    """

    raised: tuple[str, ...]
    record: LedgerRecord | None = None
    alerts: tuple[Alert, ...] = ()
    requests: tuple[PaymentRequest, ...] = ()
    moved: tuple[str, int] | None = None
    seen: tuple[str, str] | None = None
    stranger: bool = False
    payment: tuple[str, str] | None = None
    admitted: tuple[str, ...] = ()
    recalled: tuple[Grant, ...] = ()
    aside: str = ""
