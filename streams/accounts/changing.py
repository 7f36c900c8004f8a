"""Folding a record's changes into the account: apps, plans, contracts, payments. Called by `apply` alone."""

from __future__ import annotations

from itertools import pairwise

from schemas.changes import (
    AlertsSet,
    AppAppeared,
    AppCreated,
    AppPublished,
    AppTransferred,
    AppUnpublished,
    AutoPaymentSet,
    AutoPaymentStopped,
    Change,
    CollaboratorAdded,
    CollaboratorRemoved,
    ContractBegan,
    ContractEnds,
    EmailSet,
    LateAdmitted,
    LicenceAssigned,
    LicenceRemoved,
    PaymentFailed,
    PaymentRequested,
    PaymentSettled,
    PersonChanged,
    PersonRemoved,
    PlanEnds,
    PlanResumed,
    PlanTaken,
    SupportEnds,
    SupportResumed,
    SupportTaken,
    UpgradeDeclined,
    UpgradeRequested,
)
from schemas.instants import MICROS_PER_DAY, day_of
from streams.accounts.apps import SUPPORT, AppState, AutoPayment, ContractSpan, Payment, Span, Subscription, appeared
from streams.accounts.auto_payment import renewed
from streams.accounts.grants import FOR_EVER
from streams.accounts.state import AccountState

POOLS_KEPT = 3
"""Terms of an app, or of the contract, whose included units are remembered at least: the newest ones (law 6)."""
UNTIL_FORGOTTEN_US = 92 * MICROS_PER_DAY
"""So long after they gave way to another, older ones are remembered too: plans may change several times a day, and
units of each come late, by the longest lateness that can be set (U6)."""


def fold_change(state: AccountState, change: Change) -> None:
    """Fold one change."""
    match change:
        case AppAppeared(name):
            keep_app(state, appeared(name))
        case AppCreated(name, owner, from_us, products):
            keep_app(state, AppState(name, owner, from_us, products=products))
        case AppPublished(name, from_us):
            state.apps[name].publish(True, from_us)
            keep_app(state, state.apps[name])
        case AppUnpublished(name, from_us):
            state.apps[name].publish(False, from_us)
            keep_app(state, state.apps[name])
        case PlanTaken() | PlanEnds() | PlanResumed():
            _fold_plan(state, change)
        case SupportTaken(plan, from_us, fee):
            state.subscriptions[SUPPORT] = Subscription(SUPPORT, plan, "monthly", from_us, from_us, fee_micros=fee)
        case SupportEnds(until_us, unpaid, cancelled):
            _end(state, SUPPORT, until_us, unpaid, cancelled)
        case SupportResumed():
            _resume(state, SUPPORT)
        case ContractBegan() | ContractEnds():
            _fold_contract(state, change)
        case AutoPaymentSet():
            state.auto = renewed(state, change)
        case AutoPaymentStopped():
            state.auto = None
        case PersonChanged(user, role, email):
            state.people[user] = role
            if email:
                state.emails[user] = email
        case EmailSet(user, email):
            _fold_email(state, user, email)
        case PersonRemoved(user):
            del state.people[user]
            state.emails.pop(user, None)
            for app in state.apps.values():
                app.collaborators.pop(user, None)
        case CollaboratorAdded(name, user, role):
            state.apps[name].collaborators[user] = role
        case CollaboratorRemoved(name, user):
            del state.apps[name].collaborators[user]
        case AppTransferred(name, owner):
            state.apps[name].owner = owner
            state.apps[name].collaborators.pop(owner, None)
        case LicenceAssigned(product):
            state.licences.add(product)
        case LicenceRemoved(product):
            state.licences.discard(product)
        case AlertsSet():
            state.thresholds = change
        case UpgradeRequested(by):
            state.upgrade_requested = by
        case UpgradeDeclined():
            state.upgrade_requested = ""
        case PaymentRequested() | PaymentSettled() | PaymentFailed():
            _fold_payment(state, change)
        case LateAdmitted():
            pass  # its charges say it all; forgotten grants come with the decision


def _fold_email(state: AccountState, user: str, email: str) -> None:
    if email:
        state.emails[user] = email
    else:
        state.emails.pop(user, None)


def keep_app(state: AccountState, app: AppState) -> None:
    """Know an app, and whether it is a plain one."""
    state.apps[app.app] = app
    if app.plain:
        state.plain_apps.add(app.app)
    else:
        state.plain_apps.discard(app.app)


def take_place(state: AccountState, pool: str, count: int) -> None:
    """Included units of a pool taken, or given back. Pools of terms that are long past are forgotten."""
    if pool in state.used:
        state.used[pool] += count
        return
    if count < 0:
        return
    state.used[pool] = count
    scope = pool.rpartition("@")[0]
    terms = sorted(int(key.rpartition("@")[2]) for key in state.used if key.rpartition("@")[0] == scope)
    for start_us, next_us in pairwise(terms[: 1 - POOLS_KEPT]):
        if next_us < terms[-1] - UNTIL_FORGOTTEN_US:
            del state.used[f"{scope}@{start_us}"]


def _fold_plan(state: AccountState, change: PlanTaken | PlanEnds | PlanResumed) -> None:
    app = state.apps[change.app]
    subject = f"app/{change.app}"
    if isinstance(change, PlanEnds):
        app.end_plan(change.until_us)
        _end(state, subject, change.until_us, change.unpaid, change.cancelled)
    elif isinstance(change, PlanResumed):
        app.resume()
        _resume(state, subject)
    else:
        until_us = FOR_EVER if change.until_us is None else change.until_us
        app.take(Span(change.plan, change.from_us, until_us, change.period))
        state.subscriptions.pop(subject, None)
        if change.period is None:
            app.trial_used = True
        else:
            state.subscriptions[subject] = Subscription(
                subject, change.plan, change.period, change.from_us, change.from_us, until_us
            )
    keep_app(state, app)


def _fold_contract(state: AccountState, change: ContractBegan | ContractEnds) -> None:
    if isinstance(change, ContractEnds):
        _end_contracts(state, change.until_us)
        _end(state, "contract", change.until_us, change.unpaid)
        return
    contract, from_us = change.contract, change.from_us
    until_us = FOR_EVER if contract.ends_us is None else contract.ends_us
    _end_contracts(state, from_us)
    state.contracts.append(ContractSpan(contract, from_us, until_us))
    state.subscriptions["contract"] = Subscription("contract", "", contract.term, from_us, from_us, until_us)
    state.upgrade_requested = ""


def _end_contracts(state: AccountState, until_us: int) -> None:
    state.contracts = [span for span in state.contracts if span.from_us < until_us]
    for span in state.contracts:
        span.until_us = min(span.until_us, until_us)


def _resume(state: AccountState, subject: str) -> None:
    held = state.subscriptions[subject]
    held.until_us, held.cancelled = FOR_EVER, False


def _end(state: AccountState, subject: str, until_us: int, unpaid: bool, cancelled: bool = False) -> None:
    held = state.subscriptions.get(subject)
    if held is not None:
        held.until_us = min(held.until_us, until_us)
        held.cancelled = cancelled
        if unpaid:
            held.unpaid = ""


def _fold_payment(state: AccountState, change: PaymentRequested | PaymentSettled | PaymentFailed) -> None:
    if state.auto is not None:
        _fold_auto(state, state.auto, change)
    if isinstance(change, PaymentRequested):
        state.asked[change.payment_id] = Payment(
            change.payment_id, change.purpose, change.subject, change.amount_micros, change.due_us
        )
        held = state.subscriptions.get(change.subject)
        if held is not None:
            held.asked_us, held.unpaid = change.due_us, change.payment_id
        return
    payment = state.asked[change.payment_id]
    payment.status = "settled" if isinstance(change, PaymentSettled) else "failed"
    held = state.subscriptions.get(payment.subject)
    if payment.status == "settled" and held is not None and held.unpaid == payment.payment_id:
        held.unpaid = ""


def _fold_auto(
    state: AccountState, auto: AutoPayment, change: PaymentRequested | PaymentSettled | PaymentFailed
) -> None:
    if isinstance(change, PaymentRequested):
        if change.purpose == "auto_top_up":
            day = day_of(change.due_us)
            auto.count = auto.count + 1 if day == auto.day else 1
            auto.open, auto.day = change.payment_id, day
        return
    if change.payment_id == auto.open:
        auto.open = ""
        if isinstance(change, PaymentFailed):
            auto.failures, auto.failed_us = auto.failures + 1, change.at_us
    if isinstance(change, PaymentSettled) and state.asked[change.payment_id].purpose == "auto_top_up":
        auto.failures = 0
