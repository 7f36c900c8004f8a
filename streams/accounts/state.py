"""The account of one workspace: what must be known to judge its next fact, and no more (law 6).

Open charges are those a late event can still correct; what can no longer change is forgotten, bucket by bucket.
Leaves to others: how it changes (`apply`), how it is written down (`snapshot`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import Struct

from schemas.changes import AlertsSet
from schemas.instants import MICROS_PER_MINUTE, day_of
from schemas.ledger import GENESIS_HASH, Covered
from streams.accounts.apps import AppState, AutoPayment, ContractSpan, Payment, Subscription, Told
from streams.accounts.grants import FOR_EVER, Grant, Purse
from streams.accounts.paging import Pages

BEFORE_ALL = -(2**62)
"""Stands for "not yet known" where instants are compared."""
NO_DAY = -1
"""Stands for "never" where days are compared."""
BUCKET_US = 5 * MICROS_PER_MINUTE
"""Open charges are kept, written and forgotten by the five minutes their units start in."""
DUE = "due:"


class Seen(Struct, frozen=True, array_like=True, gc=False):
    """A content that came under a command id: its digest, and the inbox offset at which it was decided."""

    digest: str
    offset: int


class Clock(NamedTuple):
    """A partition's clock: alerts follow `now_us`, credit lapses by `complete_us` (never after `now_us`)."""

    now_us: int = BEFORE_ALL
    complete_us: int = BEFORE_ALL

    @property
    def final_us(self) -> int:
        """Units that start before it can no longer change and are not remembered: `complete_us`, in whole buckets."""
        return self.complete_us - self.complete_us % BUCKET_US


class OpenCharge(Struct, gc=False, array_like=True):
    """A charge that can still be corrected: who paid which part (`parts`: ledger account and amount, all positive).

    `page`: the page of its bucket on which it is written (derived from where it is written).
    """

    unit_id: str
    app: str
    start_us: int
    price_micros: int
    plan: str
    parts: tuple[tuple[str, int], ...]
    covered: Covered = ""
    pool: str = ""
    kind: str = "conversation"
    channel: str = ""
    page: int = 0

    @property
    def bucket(self) -> int:
        """Where it is kept."""
        return self.start_us // BUCKET_US

    @property
    def due_micros(self) -> int:
        """The part that no credit has paid yet (C6)."""
        return sum(amount for account, amount in self.parts if account.startswith(DUE))


Taken = tuple[str, str, str, int]
"""An id that was taken: `command`, `stranger`, `payment` or (late) `event`, the id, the command's digest, what the
payment brought or which command admitted the event, and the inbox offset at which a command was."""
TAKEN_ROWS = 64
"""Ids on a page."""


class DueItem(NamedTuple):
    """Something owed (C6). Without `unit_id`: charges that can no longer change, summed by day and app."""

    start_us: int
    unit_id: str
    app: str
    amount_micros: int
    day: int


class Activity(Struct, array_like=True):
    """E4: the newest UTC day with a billed unit of the app, and whether paid credit paid for any; of those that can no
    longer change, the same."""

    newest_day: int = NO_DAY
    paid: bool = False
    final_day: int = NO_DAY
    final_paid: bool = False


@dataclass(slots=True, eq=False)
class AccountState:
    """One workspace. The second block is derived from the first (and from the open charges), but for its last lines.

    `totals` are the ledger accounts other than grants; `old_due` is what is owed for charges that can no longer change,
    by (UTC day of the unit's start, app); `commands` holds for each id the contents seen, first the one
    that counts, `strangers` those of people unknown here, which take no id; `payments` what each payment id brought;
    `admitted` by which command each late event was (U6);
    `raised` the balance alerts whose condition holds (A2).
    `asked` are the payments asked for, `used` the included units taken by pool, `newest_us` the newest start of any
    unit: what changes a plan takes effect after it. `past` lists by pool the open charges beyond the included units.
    `taken` lists the newest command and payment ids, after `taken_pages` full pages of them; `unwarned` the grants that
    came when a warning of their expiry was due already. `as_of_us` is the newest instant of any record, `daily` units
    and micro-dollars charged by the day of their start, for the last days; `activity` what each app has used lately
    (E4); `told`, `told_raised`, `entitled` and `band` what was announced last (`announcing`).

    `mortal` lists the grants that expire, soonest first, `spent` those used up. `added` are grants that `schedule` has
    not seen. `touched`, `touched_grants` and `sealed` are pages to be written: of open charges by (bucket, page), of
    grants, and of ids once full.
    """

    workspace: str
    created_us: int | None = None
    sequence: int = 0
    last_hash: str = GENESIS_HASH
    grants: dict[str, Grant] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    old_due: dict[tuple[int, str], int] = field(default_factory=dict)
    commands: dict[str, tuple[Seen, ...]] = field(default_factory=dict)
    strangers: dict[str, tuple[Seen, ...]] = field(default_factory=dict)
    payments: dict[str, str] = field(default_factory=dict)
    admitted: dict[str, str] = field(default_factory=dict)
    taken: list[Taken] = field(default_factory=list)
    taken_pages: int = 0
    unwarned: set[str] = field(default_factory=set)
    raised: tuple[str, ...] = ()
    apps: dict[str, AppState] = field(default_factory=dict)
    contracts: list[ContractSpan] = field(default_factory=list)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    asked: dict[str, Payment] = field(default_factory=dict)
    upgrade_requested: str = ""
    used: dict[str, int] = field(default_factory=dict)
    newest_us: int = BEFORE_ALL
    as_of_us: int = BEFORE_ALL
    daily: dict[int, tuple[int, int]] = field(default_factory=dict)
    last_added_micros: int = 0
    thresholds: AlertsSet | None = None
    auto: AutoPayment | None = None
    people: dict[str, str] = field(default_factory=dict)
    emails: dict[str, str] = field(default_factory=dict)
    activity: dict[str, Activity] = field(default_factory=dict)
    licences: set[str] = field(default_factory=set)
    told: dict[str, str] = field(default_factory=dict)
    entitled: dict[str, Told] = field(default_factory=dict)
    told_raised: tuple[str, ...] = ()
    band: tuple[int, int] = (0, 0)
    open: dict[str, OpenCharge] = field(default_factory=dict)

    buckets: dict[int, Pages] = field(default_factory=dict)
    grant_pages: Pages = field(default_factory=Pages)
    spent: set[str] = field(default_factory=set)
    mortal: list[tuple[int, str]] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    past: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    plain_apps: set[str] = field(default_factory=set)
    owing: set[str] = field(default_factory=set)
    purse: Purse = field(default_factory=Purse)
    free_micros: int = 0
    paid_shared_micros: int = 0
    paid_apps_micros: int = 0
    due_micros: int = 0
    available_micros: int = 0
    touched: dict[tuple[int, int], None] = field(default_factory=dict)
    touched_grants: dict[int, None] = field(default_factory=dict)
    sealed: dict[int, list[Taken]] = field(default_factory=dict)
    next_alarm_us: int | None = None
    next_lapse_us: int | None = None

    def take(self, taken: Taken) -> None:
        """Remember an id, and say so in the changelog; a full page of them is written once."""
        self.remember(taken)
        self.taken.append(taken)
        if len(self.taken) == TAKEN_ROWS:
            self.sealed[self.taken_pages] = self.taken
            self.taken_pages += 1
            self.taken = []

    def remember(self, taken: Taken) -> None:
        """Know an id."""
        what, name, content, offset = taken
        if what == "payment":
            self.payments[name] = content
        elif what == "event":
            self.admitted[name] = content
        else:
            held = self.commands if what == "command" else self.strangers
            held[name] = (*held.get(name, ()), Seen(content, offset))

    def seen(self, command_id: str) -> tuple[Seen, ...]:
        """The contents that came under a command id, from whomever."""
        return self.commands.get(command_id, ()) + self.strangers.get(command_id, ())

    def keep_grant(self, grant: Grant) -> None:
        """Know a new grant."""
        self.grants[grant.account] = grant
        grant.page = self.grant_pages.add(grant.account)
        self.touched_grants[grant.page] = None
        self.added.append(grant.account)
        if grant.expires_us < FOR_EVER:
            insort(self.mortal, (grant.expires_us, grant.account))

    def drop_grant(self, grant: Grant) -> None:
        """Forget a grant that nothing can touch any more."""
        del self.grants[grant.account]
        self.spent.discard(grant.account)
        self.grant_pages.remove(grant.page, grant.account)
        self.touched_grants[grant.page] = None
        if grant.expires_us < FOR_EVER:
            del self.mortal[bisect_left(self.mortal, (grant.expires_us, grant.account))]

    def balance(self, account: str) -> int:
        """The balance of any ledger account."""
        grant = self.grants.get(account)
        return self.totals.get(account, 0) if grant is None else grant.remaining_micros

    def due_items(self) -> Iterator[DueItem]:
        """All that is owed, oldest first (C6)."""
        for (day, app), amount in sorted(self.old_due.items()):
            yield DueItem(BEFORE_ALL, "", app, amount, day)
        for charge in sorted((self.open[unit_id] for unit_id in self.owing), key=lambda c: (c.start_us, c.unit_id)):
            yield DueItem(charge.start_us, charge.unit_id, charge.app, charge.due_micros, day_of(charge.start_us))
