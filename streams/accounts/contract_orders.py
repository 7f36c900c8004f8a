"""Commands about Enterprise: request, approve, decline, end (P3, P9, P12)."""

from __future__ import annotations

from schemas.changes import (
    Contract,
    ContractBegan,
    ContractEnds,
    PaymentRequested,
    PlanEnds,
    SupportEnds,
    UpgradeDeclined,
    UpgradeRequested,
)
from schemas.commands import MAX_AMOUNT_MICROS, ApproveUpgrade, DeclineUpgrade, EndContract, RequestUpgrade
from schemas.errors import excerpt
from streams.accounts.apps import SUPPORT
from streams.accounts.draft import Draft
from streams.accounts.money import instant, usd
from streams.accounts.orders import Order, Rule
from streams.accounts.plausible import implausible
from streams.accounts.pricing import contract_at
from streams.accounts.renewing import payment_id_of
from streams.accounts.support import contract_support

MAX_OVERAGE_MICROS = MAX_AMOUNT_MICROS // 1_000
"""A million US dollars for a session past the included ones."""
MAX_COUNT = 10**12
"""Of requests, and of anything else that a contract limits."""


def _refuse_request(order: Order, body: RequestUpgrade) -> str:
    if body.app is not None and (why := order.no_such_app(body.app)):
        return why
    if body.app is None and order.command.actor.role == "app_owner":
        return "app: an app owner asks for the app that is owned; name it (P9, W2)."
    if order.state.upgrade_requested:
        return f"workspace: Enterprise is requested already, by {excerpt(order.state.upgrade_requested)} (P9)."
    if contract_at(order.state, order.effective_us) is not None:
        return "workspace: it is an Enterprise workspace already (P9)."
    return ""


def _request(order: Order, body: RequestUpgrade, draft: Draft) -> None:
    draft.changes.append(UpgradeRequested(order.command.actor.name, body.app))


def _refuse_approval(order: Order, body: ApproveUpgrade) -> str:
    contract, catalog = body.contract, order.policy.catalog
    plan = catalog.plan_of_kind("contract")
    if plan is None:
        return "plan: the catalog has no plan by contract (P3)."
    why = _out_of_bounds(contract)
    if why:
        return why
    if contract.past == "block" and contract.overage_micros:
        return "contract.overage_micros: a contract that blocks charges nothing past its requests (P3)."
    if contract.ends_us is not None and contract.ends_us <= order.effective_us:
        return f"contract.ends_us: {instant(contract.ends_us)} is not after the contract's begin (P3)."
    if contract.support_plan and catalog.support_plan(contract.support_plan) is None:
        known = ", ".join(support.id for support in catalog.support_plans)
        return f"contract.support_plan: {excerpt(contract.support_plan)} is no support plan; there are {known} (P7)."
    default = catalog.plans[0]
    for field, given, least in (
        ("rate_limits", contract.rate_limits, default.rate_limits),
        ("usage_limits", contract.usage_limits, default.usage_limits),
    ):
        for name, limit in given.items():
            if name not in least:
                return f"contract.{field}: {excerpt(name)} is no limit; there are {', '.join(least)} (P6)."
            if limit < least[name]:
                return f"contract.{field}: {name} {limit} is below that of {default.title}, {least[name]} (P6)."
            if limit > MAX_COUNT:
                return (
                    f"contract.{field}: {name} {limit:,} is above the most that can be agreed on, {MAX_COUNT:,} (P6)."
                )
    return ""


def _out_of_bounds(contract: Contract) -> str:
    """Whether it tells a figure that no contract has: what is charged by it could outgrow the account's 64 bits."""
    for field, amount, most in (
        ("price_micros", contract.price_micros, MAX_AMOUNT_MICROS),
        ("overage_micros", contract.overage_micros, MAX_OVERAGE_MICROS),
    ):
        if amount > most:
            return f"contract.{field}: {usd(amount)} is above the most that can be agreed on, {usd(most)} (C7)."
    if contract.allowed_requests > MAX_COUNT:
        what = f"contract.allowed_requests: {contract.allowed_requests:,}"
        return f"{what} is above the most that can be agreed on, {MAX_COUNT:,} (P3)."
    return "" if contract.ends_us is None else implausible("contract.ends_us", contract.ends_us)


def _approve(order: Order, body: ApproveUpgrade, draft: Draft) -> None:
    """The contract begins; what apps had of their own ends, so no fee of theirs is asked for any more; so does paid
    support where the contract brings its own."""
    from_us, contract = order.effective_us, body.contract
    for name, app in sorted(order.state.apps.items()):
        if any(span.until_us > from_us for span in app.spans):
            draft.changes.append(PlanEnds(name, from_us))
    support = order.state.subscriptions.get(SUPPORT)
    if support is not None and support.is_in_force(from_us) and contract_support(contract, order.policy):
        draft.changes.append(SupportEnds(from_us))
    draft.changes.append(ContractBegan(contract, from_us))
    if contract.price_micros:
        payment = payment_id_of(order.state, "contract", from_us)
        draft.changes.append(PaymentRequested(payment, "contract", "contract", contract.price_micros, from_us))


def _refuse_decline(order: Order, _: DeclineUpgrade) -> str:
    return "" if order.state.upgrade_requested else "workspace: no upgrade is requested (P9)."


def _decline(order: Order, body: DeclineUpgrade, draft: Draft) -> None:
    draft.changes.append(UpgradeDeclined(body.reason))


def _refuse_ending(order: Order, _: EndContract) -> str:
    return "" if contract_at(order.state, order.effective_us) else "workspace: no contract is in force (P3)."


def _end(order: Order, _: EndContract, draft: Draft) -> None:
    draft.changes.append(ContractEnds(order.effective_us))


RULES: dict[type, Rule] = {
    RequestUpgrade: Rule("plan_changed", _refuse_request, _request),
    ApproveUpgrade: Rule("plan_changed", _refuse_approval, _approve),
    DeclineUpgrade: Rule("plan_changed", _refuse_decline, _decline),
    EndContract: Rule("plan_changed", _refuse_ending, _end),
}
