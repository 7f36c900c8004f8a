"""What a unit costs: the plan in force at its start (U10, P1-P4, P11, P12), and whether it is one of the included.

Included units come before credits. Places go to units in the order in which they are posted; a place that a
correction frees goes to the oldest unit of the same term that was posted past them and can still change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from schemas.catalog import Plan
from schemas.ledger import Covered
from streams.accounts.apps import AppState, ContractSpan
from streams.accounts.policy import Policy
from streams.accounts.state import AccountState, OpenCharge
from streams.accounts.terms import term_at

_NOTHING: Mapping[str, int] = {}


class Verdict(NamedTuple):
    """What a unit costs, under which plan; `covered` and `pool` as in the ledger's charge."""

    plan: str
    price_micros: int
    covered: Covered = ""
    pool: str = ""


class Standing(NamedTuple):
    """How an app stands at an instant. Without a `pool` nothing is included; `sells_past` says whether units past the
    included ones are charged, at `past_micros` where a contract names a price."""

    plan: Plan
    pool: str = ""
    included: int = 0
    sells_past: bool = True
    past_micros: int | None = None
    term_end_us: int | None = None


def contract_at(state: AccountState, at_us: int) -> ContractSpan | None:
    """The contract in force at an instant (P3)."""
    return next((span for span in reversed(state.contracts) if span.from_us <= at_us < span.until_us), None)


def standing_at(state: AccountState, app: AppState | None, at_us: int, policy: Policy) -> Standing:
    """The plan in force for an app at an instant: a contract covers all (P12), else the app's own, else the default."""
    covering = contract_at(state, at_us)
    if covering is not None:
        contract = covering.contract
        start_us, end_us = term_at(covering.from_us, contract.term, at_us)
        sells = contract.past == "overage"
        return Standing(
            policy.plan_of_kind("contract"), f"@{start_us}", contract.allowed_requests, sells,
            contract.overage_micros, min(end_us, covering.until_us),
        )  # fmt: skip
    span = app.span(at_us) if app is not None else None
    if span is None or app is None:
        return Standing(policy.standard)
    plan = policy.plan(span.plan)
    if plan.trial is not None:
        pool = f"{app.app}@{span.from_us}"
        return Standing(plan, pool, plan.trial.included, sells_past=False, term_end_us=span.until_us)
    start_us, end_us = term_at(span.from_us, span.period or "monthly", at_us)
    offer = plan.offer(span.period or "monthly", start_us)
    included = 0 if offer is None else offer.included
    return Standing(plan, f"{app.app}@{start_us}", included, term_end_us=min(end_us, span.until_us))


def limits_at(state: AccountState, standing: Standing, at_us: int) -> tuple[dict[str, int], dict[str, int]]:
    """Rate and usage limits of an app that stands so (P6): its plan's, or where the contract names others, those."""
    rate_limits, usage_limits = standing.plan.rate_limits, standing.plan.usage_limits
    covering = contract_at(state, at_us)
    if covering is not None:
        rate_limits = {**rate_limits, **covering.contract.rate_limits}
        usage_limits = {**usage_limits, **covering.contract.usage_limits}
    return rate_limits, usage_limits


def apps_allowed(state: AccountState, at_us: int, policy: Policy) -> int | None:
    """How many apps the workspace may have (P6): the most that the default plan, or one of its apps' plans, allows; the
    contract's where there is one. None: as many as it likes."""
    standings = [standing_at(state, None, at_us, policy)]
    if contract_at(state, at_us) is None:
        planned = (app for app in state.apps.values() if app.spans)
        standings += [standing_at(state, app, at_us, policy) for app in planned]
    limits = [limits_at(state, standing, at_us)[1].get("apps") for standing in standings]
    known = [limit for limit in limits if limit is not None]
    return max(known) if len(known) == len(limits) else None


def judge(
    state: AccountState,
    app_id: str,
    kind: str,
    start_us: int,
    held: OpenCharge | None,
    policy: Policy,
    taken: Mapping[str, int] = _NOTHING,
) -> Verdict | None:
    """What a billable unit costs; None when nothing is to be posted for it. `held` is its present charge; `taken` are
    included units by pool that the same record takes."""
    app = state.apps.get(app_id)
    if not state.contracts and (app is None or app_id in state.plain_apps):
        price = policy.price_micros(kind, start_us)
        return Verdict(policy.standard.id, price) if price else None
    standing = standing_at(state, app, start_us, policy)
    past = _past(standing, app, kind, start_us)
    if past is None or not past.pool:
        return past
    pool = past.pool
    has_place = held is not None and held.pool == pool and held.covered == "included"
    if has_place or state.used.get(pool, 0) + taken.get(pool, 0) < standing.included:
        return Verdict(past.plan, 0, "included", pool)
    return past


def past_included(state: AccountState, app_id: str, kind: str, start_us: int, policy: Policy) -> Verdict | None:
    """What a billable unit costs for which no included place is left; None as of `judge`."""
    app = state.apps.get(app_id)
    return _past(standing_at(state, app, start_us, policy), app, kind, start_us)


def _past(standing: Standing, app: AppState | None, kind: str, start_us: int) -> Verdict | None:
    plan = standing.plan
    if not plan.bills(kind):
        return None
    main = kind == plan.billing_unit
    if app is not None and not app.is_published(start_us):
        return Verdict(plan.id, 0, "unpublished") if main else None
    if not main or not standing.pool:
        price = plan.price_micros(kind, start_us)
        return Verdict(plan.id, price) if price else None
    price = _past_micros(standing, kind, start_us)
    return Verdict(plan.id, price, "" if price else "beyond", standing.pool)


def _past_micros(standing: Standing, kind: str, start_us: int) -> int:
    if not standing.sells_past:
        return 0
    if standing.past_micros is not None:
        return standing.past_micros
    return standing.plan.price_micros(kind, start_us)
