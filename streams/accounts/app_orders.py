"""Commands about apps and their plans: create, publish, trial, subscribe, cancel (E4, W1, P4, P11, P12)."""

from __future__ import annotations

from schemas.changes import (
    AppCreated,
    AppPublished,
    AppUnpublished,
    PaymentRequested,
    PlanEnds,
    PlanResumed,
    PlanTaken,
)
from schemas.commands import CancelPlan, CreateApp, PublishApp, StartTrial, Subscribe, UnpublishApp
from schemas.errors import excerpt
from schemas.instants import MICROS_PER_DAY
from schemas.plans import Plan
from streams.accounts.draft import Draft
from streams.accounts.money import instant
from streams.accounts.orders import Order, Rule
from streams.accounts.pricing import apps_allowed, contract_at, standing_at
from streams.accounts.renewing import payment_id_of
from streams.accounts.terms import term_at


def _refuse_creation(order: Order, body: CreateApp) -> str:
    app = order.state.apps.get(body.app)
    if app is not None:
        how = "by its first unit" if app.created_us is None else f"at {instant(app.created_us)}"
        return f"app: {excerpt(body.app)} exists already, created {how} (W1)."
    known = [product.id for product in order.policy.catalog.products]
    strange = [product for product in body.products if product not in known]
    if strange:
        return f"products: {excerpt(strange[0])} is no product; there are {', '.join(known)} (P10)."
    if len(set(body.products)) < len(body.products):
        twice = next(product for product in body.products if body.products.count(product) > 1)
        return f"products: {twice} is named twice (P10)."
    unlicensed = [product for product in body.products if product not in order.state.licences]
    if order.state.licences and unlicensed:
        licensed = ", ".join(sorted(order.state.licences))
        return f"products: {unlicensed[0]} is not licensed; apps can be created for {licensed} (P10)."
    limit = apps_allowed(order.state, order.effective_us, order.policy)
    if limit is not None and len(order.state.apps) >= limit:
        return f"app: the workspace has {len(order.state.apps)} apps, and its plan allows {limit} (P6)."
    return ""


def _create(order: Order, body: CreateApp, draft: Draft) -> None:
    draft.changes.append(AppCreated(body.app, order.command.actor.name, order.effective_us, body.products))


def _refuse_publishing(order: Order, body: PublishApp) -> str:
    why = order.no_such_app(body.app)
    if not why and order.app(body.app).is_published(order.effective_us):
        return f"app: {body.app} is published already (E4)."
    return why


def _publish(order: Order, body: PublishApp, draft: Draft) -> None:
    draft.changes.append(AppPublished(body.app, order.effective_us))


def _refuse_unpublishing(order: Order, body: UnpublishApp) -> str:
    why = order.no_such_app(body.app)
    if not why and not order.app(body.app).is_published(order.effective_us):
        return f"app: {body.app} is not published (E4)."
    return why


def _unpublish(order: Order, body: UnpublishApp, draft: Draft) -> None:
    draft.changes.append(AppUnpublished(body.app, order.effective_us))


def _refuse_trial(order: Order, body: StartTrial) -> str:
    why = order.no_such_app(body.app) or _covered(order)
    if why:
        return why
    app = order.app(body.app)
    if order.policy.catalog.plan_of_kind("trial") is None:
        return "plan: the catalog offers no trial (P11)."
    if app.created_us is None:
        return f"app: {body.app} was in use before it was known; a trial is for a new app (P11)."
    if app.trial_used:
        return f"app: {body.app} has had its trial (P11)."
    plan = standing_at(order.state, app, order.effective_us, order.policy).plan
    if plan.kind != "payg":
        return f"app: {body.app} is on {plan.title}; a trial comes before a subscription (P11)."
    if f"app/{body.app}" in order.state.subscriptions:
        return f"app: {body.app} has had a subscription; a trial comes before one (P11)."
    return ""


def _start_trial(order: Order, body: StartTrial, draft: Draft) -> None:
    plan = order.policy.plan_of_kind("trial")
    assert plan.trial is not None
    from_us = order.effective_us
    draft.changes.append(PlanTaken(body.app, plan.id, from_us, from_us + plan.trial.days * MICROS_PER_DAY))


def _refuse_subscription(order: Order, body: Subscribe) -> str:
    why = order.no_such_app(body.app) or _covered(order)
    if why:
        return why
    offered = [plan for plan in order.policy.catalog.plans if plan.kind == "subscription"]
    plan = next((plan for plan in offered if plan.id == body.plan), None)
    if plan is None:
        return f"plan: {excerpt(body.plan)} cannot be subscribed to; {_listed(offered)} can (P4)."
    if plan.offer(body.period, order.effective_us) is None:
        return f"period: {plan.title} is not offered {body.period} (P4)."
    span = order.app(body.app).span(order.effective_us)
    if span is not None and (span.plan, span.period) == (body.plan, body.period) and not _resumes(order, body):
        return f"plan: {body.app} is on {plan.title} {body.period} already (P4)."
    return ""


def _resumes(order: Order, body: Subscribe) -> bool:
    """Whether it is what the app is on, cancelled but still in force (P8)."""
    held = order.state.subscriptions.get(f"app/{body.app}")
    if held is None or not held.cancelled or not held.is_in_force(order.effective_us):
        return False
    return (held.plan, held.period) == (body.plan, body.period)


def _subscribe(order: Order, body: Subscribe, draft: Draft) -> None:
    from_us = order.effective_us
    if _resumes(order, body):
        draft.changes.append(PlanResumed(body.app))
        return
    draft.changes.append(PlanTaken(body.app, body.plan, from_us, period=body.period))
    offer = order.policy.plan(body.plan).offer(body.period, from_us)
    assert offer is not None, "refused otherwise"
    if offer.fee_micros:
        subject = f"app/{body.app}"
        payment = payment_id_of(order.state, subject, from_us)
        draft.changes.append(PaymentRequested(payment, "subscription", subject, offer.fee_micros, from_us))


def _refuse_cancelling(order: Order, body: CancelPlan) -> str:
    why = order.no_such_app(body.app)
    if why:
        return why
    span = order.app(body.app).span(order.effective_us)
    if span is None:
        return f"app: {body.app} has no plan to cancel (P4)."
    if span.period is not None and span.until_us <= _end_of_term(order, span.from_us, span.period):
        return f"app: the plan of {body.app} ends at {instant(span.until_us)} already (P4)."
    return ""


def _cancel(order: Order, body: CancelPlan, draft: Draft) -> None:
    span = order.app(body.app).span(order.effective_us)
    assert span is not None, "refused otherwise"
    until_us = order.effective_us if span.period is None else _end_of_term(order, span.from_us, span.period)
    draft.changes.append(PlanEnds(body.app, until_us, cancelled=True))


def _end_of_term(order: Order, from_us: int, period: str) -> int:
    return term_at(from_us, period, order.effective_us)[1]


def _covered(order: Order) -> str:
    """P12: under a contract apps have no plans of their own."""
    if contract_at(order.state, order.effective_us) is None:
        return ""
    return "workspace: an enterprise contract covers all its apps (P3, P12)."


def _listed(plans: list[Plan]) -> str:
    return " or ".join(plan.id for plan in plans)


RULES: dict[type, Rule] = {
    CreateApp: Rule("app_changed", _refuse_creation, _create),
    PublishApp: Rule("app_changed", _refuse_publishing, _publish),
    UnpublishApp: Rule("app_changed", _refuse_unpublishing, _unpublish),
    StartTrial: Rule("plan_changed", _refuse_trial, _start_trial),
    Subscribe: Rule("plan_changed", _refuse_subscription, _subscribe),
    CancelPlan: Rule("plan_changed", _refuse_cancelling, _cancel),
}
