"""One random history through the account and through the second model: every difference that somebody could see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import msgspec

from schemas.alerts import Alert
from schemas.changes import PaymentFailed, PaymentSettled
from schemas.commands import InboxRecord
from schemas.entitlements import Entitlement
from schemas.instants import MICROS_PER_DAY, MICROS_PER_HOUR
from schemas.ledger import LedgerRecord
from schemas.topics import ALERTS, ENTITLEMENTS
from schemas.units import Watermark
from streams.accounts.activity import is_inactive, is_paid
from streams.accounts.invariants import broken_laws
from streams.accounts.standing import assess, balance_status, burning, buttons
from streams.accounts.state import AccountState
from streams.accounts.support import support_at
from streams.durable.machine import Output
from tests.accounts.histories import APPS, POLICY, RULES, unfolding
from tests.accounts.naive import NEVER, Naive
from tests.accounts.story import Story

LENGTHS = (8, 25, 50)
TURNS = ("app_stopped", "app_responding")
ANNOUNCED = ("contract_usage", "renewal_due", "licence_changed")
_alert = msgspec.json.Decoder(Alert).decode
_entitlement = msgspec.json.Decoder(Entitlement).decode
Seen = Iterator[tuple[str, Any, Any]]


def differences(seed: int) -> str:
    """The first difference in the history of that seed, in words; "" when the two agree throughout."""
    random, lawful = Random(seed), seed % 5 > 0
    story, naive = Story(POLICY), Naive(RULES)
    for at, fact in enumerate(unfolding(random, random.choice(LENGTHS), lawful, story)):
        first = len(story.outputs)
        records = story.tell(fact)
        naive.take(fact)
        account = story.machine.accounts.get("acme")
        if account is None:
            if naive.exists:
                return f"seed {seed}, fact {at}, {fact}: there is no account"
            continue
        for what, ours, theirs in _after(story, account, naive, fact, records, story.outputs[first:]):
            if ours != theirs:
                return f"seed {seed}, fact {at}, {fact}: {what} is {ours!r}, in the second model {theirs!r}"
    for what, ours, theirs in _at_the_end(story, naive, lawful):
        if ours != theirs:
            return f"seed {seed}, at the end: {what} is {ours!r}, in the second model {theirs!r}"
    return ""


def _after(
    story: Story,
    account: AccountState,
    naive: Naive,
    fact: InboxRecord,
    records: list[LedgerRecord],
    told: list[Output],
) -> Seen:
    now = story.machine.sources.clock.now_us
    for record in records:
        answered = any(isinstance(change, PaymentFailed | PaymentSettled) for change in record.changes)
        if record.kind != "command_refused" and not answered:
            naive.top_up(max(now, account.as_of_us), record.sequence)
    yield "refused", any(record.kind == "command_refused" for record in records), naive.refuses
    if not isinstance(fact, Watermark) and not any(record.kind != "command_refused" for record in records):
        yield "alerts of nothing", _published(told), naive.alerts
        return
    naive.announce(max(now, account.as_of_us))
    yield from _money(account, naive)
    yield from _people(account, naive)
    yield from _standing(account, naive, max(now, account.as_of_us))
    yield from _alerts(told, naive)
    if isinstance(fact, Watermark) and now >= account.as_of_us:
        yield from _told(account, naive, now)


def _money(account: AccountState, naive: Naive) -> Seen:
    """C1-C10, P8: each grant, due, usage, lapse, payment and open charge."""
    for grant in naive.grants:
        yield grant["id"], account.balance(f"grant:acme/{grant['id']}"), naive.left(grant)
    for app in APPS:
        yield f"due of {app}", account.totals.get(f"due:{app}", 0), -naive.owed(app)
    usage = sum(account.totals.get(f"usage:{kind}", 0) for kind in ("conversation", "session"))
    yield "usage", usage, naive.used()
    yield "payments", _payments(account), naive.payments_asked()
    held = {s.subject: (s.from_us, min(s.until_us, NEVER), s.unpaid) for s in account.subscriptions.values()}
    yield "subscriptions", held, naive.subscriptions()
    for unit_id, charge in account.open.items():
        ours = (charge.plan, charge.price_micros, charge.covered, charge.pool)
        yield unit_id, ours, tuple(naive.charges[unit_id][k] for k in ("plan", "price", "covered", "pool"))
    yield "lapsed", account.totals.get("lapsed", 0), naive.lapsed
    yield "available", account.available_micros, naive.available()
    yield "pots", (account.free_micros, account.paid_shared_micros, account.paid_apps_micros), naive.pots()


def _payments(account: AccountState) -> dict[str, tuple[str, int, int, str]]:
    return {p.payment_id: (p.subject, p.amount_micros, p.due_us, p.status) for p in account.asked.values()}


def _people(account: AccountState, naive: Naive) -> Seen:
    """W1, W2, P9, P10, A3."""
    yield "people", account.people, naive.people
    yield "emails", account.emails, {user: email for user, email in naive.emails.items() if email}
    yield "owners", {n: a.owner for n, a in account.apps.items()}, {n: a["owner"] for n, a in naive.apps.items()}
    teams = {name: app.collaborators for name, app in account.apps.items()}
    yield "collaborators", teams, {name: app["team"] for name, app in naive.apps.items()}
    yield "licences", account.licences, naive.licences
    yield "buttons", buttons(account, POLICY), naive.buttons()
    yield "upgrade requested", bool(account.upgrade_requested), naive.wish


def _standing(account: AccountState, naive: Naive, at_us: int) -> Seen:
    """E1-E4, P6, P7, C11: what is read of the account now."""
    yield "status", balance_status(account), naive.status()
    yield "burning", tuple(burning(account, at_us)), naive.burning(at_us)
    yield "support", support_at(account, at_us, POLICY), naive.support(at_us)
    for name, app in account.apps.items():
        found = assess(account, app, at_us, POLICY)
        yield f"{name}'s requests", found.allowed_requests, naive.requests(name, at_us)
        yield f"{name}'s limits", found.usage_limits, naive.limits(name, at_us)
        yield f"{name}'s term", found.term_ends_us or NEVER, naive.ends(name, at_us) or NEVER
        yield f"{name} inactive", is_inactive(account, name, at_us), naive.inactive(name, at_us)
        yield f"{name} paid", is_paid(account, name), naive.paid(name)
        yield f"{name}'s support", support_at(account, at_us, POLICY, app), naive.support(at_us, name)


def _told(account: AccountState, naive: Naive, now: int) -> Seen:
    """E1: what was published last still holds, once the clock has come so far."""
    yield "apps told", account.entitled.keys(), naive.apps.keys()
    for name, told in account.entitled.items():
        yield f"told of {name}", (told.allowed, told.why, told.plan), naive.entitlement(name)
        rest = (told.balance, told.paid, told.support_plan, told.term_ends_us or NEVER, dict(told.limits[1]))
        seen = (naive.status(), naive.paid(name), naive.support(now, name), naive.ends(name, now) or NEVER)
        yield f"also of {name}", rest, (*seen, naive.limits(name, now))
        if now % MICROS_PER_DAY >= MICROS_PER_HOUR:
            yield f"{name} told inactive", told.inactive, naive.inactive(name, now)


def _alerts(outputs: list[Output], naive: Naive) -> Seen:
    """A1-A3: each alert of this fact, and whom it is for."""
    alerts = _published(outputs)
    named = [(a.kind, (a.grant_id or "").removeprefix("acme/"), a.available_micros) for a in alerts if _is_plain(a)]
    yield "alerts", named, naive.alerts
    naive.alerts = []
    yield "announced", sorted((a.kind, a.app or "") for a in alerts if a.kind in ANNOUNCED), sorted(naive.announced)
    naive.announced = []
    for alert in alerts:
        ours = [(one.role, one.user, one.email) for one in alert.recipients]
        yield f"recipients of {alert.alert_id}", ours, naive.recipients(alert.app)


def _published(outputs: list[Output]) -> list[Alert]:
    return [_alert(output.value or b"") for output in outputs if output.topic == ALERTS]


def _is_plain(alert: Alert) -> bool:
    return alert.kind not in TURNS and alert.kind not in ANNOUNCED


def _at_the_end(story: Story, naive: Naive, lawful: bool) -> Seen:
    """Refusals, what was set aside, stops and responses as the entitlements have them, and the laws."""
    refused = sum(record.kind == "command_refused" for record in story.ledger)
    yield "refused and set aside", (refused, len(story.asides)), (naive.refused, naive.set_aside)
    ids = [alert.alert_id for alert in story.alerts]
    yield "alerts told twice", [one for one in set(ids) if ids.count(one) > 1], []
    yield "stops and responses", [(a.kind, a.app) for a in story.alerts if a.kind in TURNS], list(_turns(story))
    if story.ledger and lawful:
        yield "broken laws", broken_laws(story.account(), story.ledger), []


def _turns(story: Story) -> Iterator[tuple[str, str]]:
    before: dict[str, Entitlement] = {}
    withdrawn: Callable[[Entitlement], bool] = lambda one: one.why in ("draft", "unpublished")  # noqa: E731
    for output in story.outputs:
        if output.topic != ENTITLEMENTS:
            continue
        one = _entitlement(output.value or b"")
        last = before.get(one.app)
        before[one.app] = one
        if last is not None and last.allowed != one.allowed and not withdrawn(last) and not withdrawn(one):
            yield (TURNS[one.allowed], one.app)
