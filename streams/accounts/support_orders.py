"""Commands about paid support: subscribe, resume, cancel (P7, P8)."""

from __future__ import annotations

from schemas.changes import PaymentRequested, SupportEnds, SupportResumed, SupportTaken
from schemas.commands import CancelSupport, SubscribeSupport
from schemas.errors import excerpt
from streams.accounts.apps import SUPPORT, Subscription
from streams.accounts.draft import Draft
from streams.accounts.money import instant, usd
from streams.accounts.orders import Order, Rule
from streams.accounts.pricing import contract_at
from streams.accounts.renewing import payment_id_of
from streams.accounts.support import contract_support
from streams.accounts.terms import term_at


def _held(order: Order) -> Subscription | None:
    """The paid support in force."""
    held = order.state.subscriptions.get(SUPPORT)
    return held if held is not None and held.is_in_force(order.effective_us) else None


def _refuse(order: Order, body: SubscribeSupport) -> str:
    at_us, catalog = order.effective_us, order.policy.catalog
    offered = [support for support in catalog.support_plans if support.monthly_micros(at_us) is not None]
    plan = next((support for support in offered if support.id == body.plan), None)
    if plan is None:
        names = " or ".join(support.id for support in offered) or "none"
        return f"plan: {excerpt(body.plan)} support cannot be subscribed to; {names} can (P7)."
    covering = contract_at(order.state, at_us)
    brought = contract_support(covering.contract, order.policy) if covering is not None else ""
    if brought:
        return f"workspace: its contract brings {brought} support (P7)."
    held = _held(order)
    if held is not None and not (held.cancelled and held.plan == body.plan):
        return f"plan: the workspace has {held.plan} support already (P7)."
    return _refuse_fee(order, body, plan.monthly_micros(at_us) or 0, held)


def _refuse_fee(order: Order, body: SubscribeSupport, least: int, held: Subscription | None) -> str:
    given = body.monthly_micros
    if given is None:
        return ""
    if order.command.actor.role != "operator":
        return f"monthly_micros: only an operator agrees on another fee than {usd(least)} a month (P7)."
    if held is not None and given != held.fee_micros:
        return f"monthly_micros: what was cancelled goes on at its own fee, {usd(held.fee_micros)} a month (P8)."
    if given < least:
        return f"monthly_micros: {usd(given)} is below the least fee, {usd(least)} a month (P7)."
    return ""


def _subscribe(order: Order, body: SubscribeSupport, draft: Draft) -> None:
    if _held(order) is not None:
        draft.changes.append(SupportResumed())
        return
    from_us = order.effective_us
    plan = order.policy.catalog.support_plan(body.plan)
    assert plan is not None, "refused otherwise"
    fee = body.monthly_micros or plan.monthly_micros(from_us) or 0
    payment = payment_id_of(order.state, SUPPORT, from_us)
    draft.changes.append(SupportTaken(body.plan, from_us, fee))
    draft.changes.append(PaymentRequested(payment, "support", SUPPORT, fee, from_us))


def _refuse_cancelling(order: Order, _: CancelSupport) -> str:
    held = _held(order)
    if held is None:
        return "workspace: it has no paid support to cancel (P7)."
    if held.cancelled:
        return f"workspace: its support ends at {instant(held.until_us)} already (P7)."
    return ""


def _cancel(order: Order, _: CancelSupport, draft: Draft) -> None:
    held = _held(order)
    assert held is not None, "refused otherwise"
    draft.changes.append(SupportEnds(term_at(held.from_us, held.period, order.effective_us)[1], cancelled=True))


RULES: dict[type, Rule] = {
    SubscribeSupport: Rule("plan_changed", _refuse, _subscribe),
    CancelSupport: Rule("plan_changed", _refuse_cancelling, _cancel),
}
