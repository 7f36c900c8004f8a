"""A ledger record in the making: lines, with the balances they lead to, over a state that stays as it is.

Lines come in postings that sum to zero; the first line of a posting says what it is (`schemas.ledger`).
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge

from schemas.changes import Change
from schemas.ledger import Balances, Charge, EntryKind, GrantOpened, LedgerRecord, Line, seal
from schemas.units import Origin
from streams.accounts.grants import Grant, grant_of, order_of_use
from streams.accounts.state import BEFORE_ALL, DUE, AccountState, Clock


class Draft:
    """Lines so far and what the state's balances would be after them.

    `recalled`: grants that were used up and forgotten, and get something back; `replaced`: open charges that the record
    takes back, and so are owed no longer."""

    __slots__ = (
        "apps_micros",
        "available_micros",
        "changes",
        "charges",
        "clock",
        "credited",
        "due_micros",
        "expired",
        "free_micros",
        "grants",
        "lines",
        "recalled",
        "replaced",
        "shared_micros",
        "state",
        "touched",
    )

    def __init__(self, state: AccountState, clock: Clock) -> None:
        self.state = state
        self.clock = clock
        self.lines: list[Line] = []
        self.charges: list[Charge] = []
        self.changes: list[Change] = []
        self.grants: list[GrantOpened] = []
        self.touched: dict[str, int] = {}
        self.credited: list[Grant] = []
        self.expired: set[str] = set()
        self.recalled: dict[str, Grant] = {}
        self.replaced: list[str] = []
        self.free_micros = state.free_micros
        self.shared_micros = state.paid_shared_micros
        self.apps_micros = state.paid_apps_micros
        self.due_micros = state.due_micros
        self.available_micros = state.available_micros

    def grant(self, account: str) -> Grant:
        """A grant by its ledger account, one that was forgotten and is `recalled` included."""
        return self.recalled.get(account) or self.state.grants[account]

    def remaining(self, grant: Grant) -> int:
        """What is left of a grant after the lines so far."""
        return self.touched.get(grant.account, grant.remaining_micros)

    def on_grant(self, grant: Grant, amount_micros: int) -> None:
        """A line on a grant's account. A grant never goes below zero."""
        account = grant.account
        balance = self.touched.get(account, grant.remaining_micros) + amount_micros
        assert balance >= 0, f"{account} would be {balance}"
        self.touched[account] = balance
        self.lines.append(Line(account, amount_micros, balance))
        if grant.credit == "free":
            self.free_micros += amount_micros
        elif grant.app is None:
            self.shared_micros += amount_micros
        else:
            self.apps_micros += amount_micros
        if not grant.expired and account not in self.expired:
            self.available_micros += amount_micros
        if amount_micros > 0:
            self.credited.append(grant)

    def on_other(self, account: str, amount_micros: int) -> None:
        """A line on any other account."""
        balance = self.touched.get(account)
        if balance is None:
            balance = self.state.totals.get(account, 0)
        balance += amount_micros
        self.touched[account] = balance
        self.lines.append(Line(account, amount_micros, balance))

    def on_due(self, app: str, amount_micros: int) -> None:
        """A line on what an app owes: negative when it owes more (C6)."""
        self.on_other(DUE + app, amount_micros)
        self.due_micros -= amount_micros

    def open_grant(self, opened: GrantOpened) -> Grant:
        """A new grant, known from here on; its opening line is the caller's."""
        self.grants.append(opened)
        return grant_of(opened, self.clock.now_us)

    def usable(self, app: str, start_us: int = BEFORE_ALL) -> Iterator[Grant]:
        """The grants an app may use for a unit that starts then, in the order of use, with those credited within this
        record. They are looked at one by one: there may be many, and the first mostly pays."""
        grants = self.state.purse.for_app(app, start_us)
        if not self.credited:
            return grants
        more = {grant.account: grant for grant in self.credited if grant.remaining_micros == 0 and grant.fits(app)}
        return merge(grants, sorted(more.values(), key=order_of_use), key=order_of_use)

    def record(
        self, kind: EntryKind, time_us: int, origin: Origin, cause: str, actor: str | None = None, note: str = ""
    ) -> LedgerRecord:
        """The finished record, next in the workspace's chain (L1, L2)."""
        state = self.state
        return seal(
            LedgerRecord(
                workspace=state.workspace,
                sequence=state.sequence + 1,
                kind=kind,
                time_us=time_us,
                origin=origin,
                cause=cause,
                lines=tuple(self.lines),
                balances=Balances(self.free_micros, self.shared_micros, self.apps_micros, self.due_micros),
                previous_hash=state.last_hash,
                charges=tuple(self.charges),
                grants=tuple(self.grants),
                actor=actor,
                note=note,
                changes=tuple(self.changes),
            )
        )
