"""Fees term by term (P8): at each renewal a payment is asked for; unpaid after the grace, the plan falls back.

By `now`. A fall-back takes effect when the grace ends, but after every unit already taken.
"""

from __future__ import annotations

import hashlib

from schemas.changes import Change, ContractEnds, PaymentPurpose, PaymentRequested, PlanEnds, SupportEnds
from streams.accounts.apps import SUPPORT, Subscription
from streams.accounts.policy import Policy
from streams.accounts.pricing import contract_at
from streams.accounts.state import AccountState
from streams.accounts.terms import term_at


def payment_id_of(state: AccountState, subject: str, due_us: int) -> str:
    """The id of the payment for the term that begins then: the same however often it is derived. What begins anew at
    the instant for which a fee was asked already has the next number. Ids longer than the contract allows are shortened
    to a digest."""
    number, payment_id = 1, _short(f"{state.workspace}/fee/{subject}/{due_us}")
    while payment_id in state.asked:
        number += 1
        payment_id = _short(f"{state.workspace}/fee/{subject}/{due_us}/{number}")
    return payment_id


def _short(payment_id: str) -> str:
    return payment_id if len(payment_id) <= 256 else hashlib.sha256(payment_id.encode()).hexdigest()


def renewals(state: AccountState, now_us: int, policy: Policy) -> list[tuple[int, Change]]:
    """What is due by `now`, with its instant, oldest first per subscription."""
    found: list[tuple[int, Change]] = []
    for _, held in sorted(state.subscriptions.items()):
        found += _renew(state, held, now_us, policy)
    return sorted(found, key=lambda due: due[0])


def next_renewal_us(state: AccountState, held: Subscription, now_us: int, policy: Policy) -> int | None:
    """When `now` has next something to do for a subscription."""
    if held.unpaid:
        deadline_us = state.asked[held.unpaid].due_us + policy.grace_us
        return deadline_us if deadline_us < held.until_us else None
    return next_term_us(held, now_us)


def next_term_us(held: Subscription, now_us: int) -> int | None:
    """When the next term begins; None when there is none."""
    due_us = term_at(held.from_us, held.period, max(held.asked_us, now_us))[1]
    return due_us if due_us < held.until_us else None


def _renew(state: AccountState, held: Subscription, now_us: int, policy: Policy) -> list[tuple[int, Change]]:
    found: list[tuple[int, Change]] = []
    asked_us = held.asked_us
    owed_us = state.asked[held.unpaid].due_us if held.unpaid else None
    while True:
        if owed_us is not None:
            deadline_us = owed_us + policy.grace_us
            if deadline_us <= now_us and deadline_us < held.until_us:
                found.append((deadline_us, _fall_back(held, max(deadline_us, state.newest_us + 1))))
            return found
        due_us = term_at(held.from_us, held.period, asked_us)[1]
        if due_us > now_us or due_us >= held.until_us:
            return found
        asked_us, amount = due_us, fee_micros(state, held, due_us, policy)
        if amount:
            payment = payment_id_of(state, held.subject, due_us)
            found.append((due_us, PaymentRequested(payment, _purpose(held), held.subject, amount, due_us)))
            owed_us = due_us


def _purpose(held: Subscription) -> PaymentPurpose:
    if held.subject == SUPPORT:
        return "support"
    return "contract" if held.subject == "contract" else "subscription"


def _fall_back(held: Subscription, until_us: int) -> Change:
    if held.subject == SUPPORT:
        return SupportEnds(until_us, unpaid=True)
    if held.subject == "contract":
        return ContractEnds(until_us, unpaid=True)
    return PlanEnds(held.subject.removeprefix("app/"), until_us, unpaid=True)


def fee_micros(state: AccountState, held: Subscription, due_us: int, policy: Policy) -> int:
    """The fee of the term that begins then."""
    if held.fee_micros:
        return held.fee_micros
    if held.subject == "contract":
        covering = contract_at(state, due_us)
        return 0 if covering is None else covering.contract.price_micros
    offer = policy.plan(held.plan).offer(held.period, due_us)
    return 0 if offer is None else offer.fee_micros
