"""Entitlements, alerts and payment requests follow from ledger and clock alone: laws 2 and 5, E1, A1, A2, C10."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.changes import AlertsSet, LicenceAssigned, LicenceRemoved, PaymentFailed, PaymentRequested
from schemas.commands import InboxRecord
from schemas.entitlements import Entitlement
from schemas.ledger import GrantOpened, LedgerRecord
from streams.accounts.activity import is_inactive, is_paid
from streams.accounts.alerting import conditions, thresholds_of
from streams.accounts.apply import apply, postings
from streams.accounts.clocking import pass_time
from streams.accounts.standing import assess, balance_status, burning
from streams.accounts.state import AccountState, Clock
from streams.accounts.support import support_at
from tests.accounts.histories import POLICY, history
from tests.accounts.story import CENT, DAY, Story

seeds = st.integers(0, 2**32)
FROM_LEDGER = (
    "low_balance", "zero_balance", "free_credit_expiring", "free_credit_lapsed", "payment_failed", "licence_changed"
)  # fmt: skip


def _told(seed: int) -> tuple[Story, list[Clock]]:
    """A story, and the clock after each of its facts."""
    random = Random(seed)
    facts: list[InboxRecord] = history(random, random.choice((25, 50)))
    story, clocks = Story(POLICY), []
    for fact in facts:
        story.tell(fact)
        clocks.append(story.machine.sources.clock)
    return story, clocks


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_payment_requests_are_the_ledgers(seed: int) -> None:
    """C10, P8: each one asked for in a record is published once, with what the record says."""
    story, _ = _told(seed)
    expected = [
        (c.payment_id, c.purpose, c.subject, c.amount_micros, c.due_us, record.time_us, record.sequence, c.method)
        for record in story.ledger
        for c in record.changes
        if isinstance(c, PaymentRequested)
    ]
    assert expected == [
        (r.payment_id, r.purpose, r.subject, r.amount_micros, r.due_us, r.requested_us, r.sequence, r.method)
        for r in story.requests
    ]
    assert len({payment_id for payment_id, *_ in expected}) == len(expected)


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_each_entitlement_is_what_the_ledger_up_to_its_record_says(seed: int) -> None:
    """E1-E4, P6, P7, C11: the account is folded anew from the records up to `sequence`, and nothing else."""
    story, clocks = _told(seed)
    for published in story.entitlements:
        account = AccountState("acme")
        for record in story.ledger[: published.sequence]:
            account = apply(account, record)
        clock = clocks[published.origin.offset]
        pass_time(account, clock, POLICY)
        account.raised = conditions(account.available_micros, thresholds_of(account, POLICY))
        assert _shown(published) == _expected(account, published.app, max(clock.now_us, account.as_of_us))


def _shown(one: Entitlement) -> tuple[object, ...]:
    figures = (one.average_daily_units, one.burn_micros, one.days_left)
    return (
        one.allowed, one.why, one.plan, one.allowed_requests, one.rate_limits, one.usage_limits, one.balance, figures,
        one.support_plan, one.inactive, one.paid,
    )  # fmt: skip


def _expected(account: AccountState, name: str, at_us: int) -> tuple[object, ...]:
    app = account.apps[name]
    found = assess(account, app, at_us, POLICY)
    return (
        found.allowed, found.why, found.plan, found.allowed_requests, found.rate_limits, found.usage_limits,
        balance_status(account), tuple(burning(account, at_us)), support_at(account, at_us, POLICY, app),
        is_inactive(account, name, at_us), is_paid(account, name),
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_alerts_about_credit_payments_and_licences_follow_from_ledger_and_clock(seed: int) -> None:
    """A1, A2, P10: recounted line by line, in plain sums."""
    story, clocks = _told(seed)
    published = [
        (a.origin.offset, a.kind, a.grant_id, a.threshold_micros) for a in story.alerts if a.kind in FROM_LEDGER
    ]
    assert sorted(published, key=str) == sorted(_alerts(story.ledger, clocks), key=str)


Row = tuple[int, str, str | None, int | None]


def _alerts(records: Sequence[LedgerRecord], clocks: Sequence[Clock]) -> Iterator[Row]:
    """(offset, kind, grant, threshold) of every alert that is due."""
    ledger = _Recount()
    for offset, clock in enumerate(clocks):
        moved = clock != (clocks[offset - 1] if offset else Clock())
        for record in records:
            if record.origin.offset == offset and record.kind != "command_refused":
                yield from ((offset, *row) for row in ledger.record(record, clock))
        yield from ((offset, *row) for row in ledger.clock(clock, moved))


class _Recount:
    """What is left of each grant by the sum of its lines, which thresholds hold, and what was told."""

    def __init__(self) -> None:
        self.grants: dict[str, GrantOpened] = {}
        self.left: dict[str, int] = {}
        self.amounts: tuple[int, ...] = (40 * CENT,)
        self.percents: tuple[int, ...] = ()
        self.named = False
        self.added = 0
        self.holding: set[str] = set()
        self.warned: set[str] = set()

    def record(self, record: LedgerRecord, clock: Clock) -> Iterator[tuple[str, str | None, int | None]]:
        for opened in record.grants:
            self.grants[opened.grant_id] = opened
            self.added = self.added if opened.moved else opened.amount_micros
            if opened.expires_us is not None and opened.expires_us <= clock.complete_us:
                yield "free_credit_lapsed", opened.grant_id, None
        for line in record.lines:
            if line.account.startswith("grant:"):
                name = line.account.removeprefix("grant:")
                self.left[name] = self.left.get(name, 0) + line.amount_micros
        if record.kind == "lapse":
            for posting in postings(record.lines):
                yield "free_credit_lapsed", posting[1].account.removeprefix("grant:"), None
        for change in record.changes:
            if isinstance(change, AlertsSet):
                self.amounts, self.percents, self.named = change.amounts_micros, change.percents, True
            elif isinstance(change, PaymentFailed):
                yield "payment_failed", None, None
            elif isinstance(change, LicenceAssigned | LicenceRemoved):
                yield "licence_changed", None, None

    def clock(self, clock: Clock, moved: bool) -> Iterator[tuple[str, str | None, int | None]]:
        for name, opened in self.grants.items():
            expires_us = opened.expires_us
            if expires_us is None or not moved or name in self.warned:
                continue
            if expires_us - DAY <= clock.now_us < expires_us:
                self.warned.add(name)
                if self.left[name]:
                    yield "free_credit_expiring", name, None
        if not self.grants:
            return
        available = sum(
            left for name, left in self.left.items() if (self.grants[name].expires_us or 2**62) > clock.now_us
        )
        before, self.holding = self.holding, set()
        named = [(f"{amount} {self.named}", amount) for amount in self.amounts]
        for key, threshold in dict([*named, *((f"{p} %", self.added * p // 100) for p in self.percents)]).items():
            if available < threshold:
                self.holding.add(key)
                if key not in before:
                    yield "low_balance", None, threshold
        if available == 0:
            self.holding.add("zero")
            if "zero" not in before:
                yield "zero_balance", None, 0
