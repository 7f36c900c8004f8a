"""How an app and its workspace stand (E1-E3, P6, C11): a pure reading of the account at an instant."""

from __future__ import annotations

from typing import NamedTuple

from schemas.entitlements import BalanceStatus, Why
from schemas.instants import day_of
from streams.accounts.apps import AppState
from streams.accounts.policy import Policy
from streams.accounts.pricing import contract_at, limits_at, standing_at
from streams.accounts.state import AccountState

DAYS_AVERAGED = 7


class Assessment(NamedTuple):
    """What an app may do."""

    allowed: bool
    why: Why
    plan: str
    allowed_requests: int
    rate_limits: dict[str, int]
    usage_limits: dict[str, int]
    term_ends_us: int | None


class Burning(NamedTuple):
    """C11: averages over the last seven days before today, whole units and micro-dollars rounded down."""

    average_daily_units: int
    burn_micros: int
    days_left: int | None


def assess(state: AccountState, app: AppState, at_us: int, policy: Policy) -> Assessment:
    """What the app may do at an instant."""
    standing = standing_at(state, app, at_us, policy)
    plan = standing.plan
    rate_limits, usage_limits = limits_at(state, standing, at_us)
    covering = contract_at(state, at_us)
    credit = available_to(state, app.app)
    left = max(0, standing.included - state.used.get(standing.pool, 0)) if standing.pool else 0
    price = plan.price_micros(plan.billing_unit, at_us) if standing.past_micros is None else standing.past_micros
    sells = standing.sells_past
    paid_for = credit // price if price and sells and covering is None else 0
    allowed, why = _may(app, plan.kind, left, sells, price, credit, at_us)
    return Assessment(allowed, why, plan.id, left + paid_for, rate_limits, usage_limits, standing.term_end_us)


def _may(
    app: AppState, plan_kind: str, left: int, sells: bool, price: int, credit: int, at_us: int
) -> tuple[bool, Why]:
    if not app.is_published(at_us):
        return False, "unpublished" if any(on for _, on in app.published) else "draft"
    if left > 0:
        return True, "has_included_units"
    if plan_kind == "contract":
        return (True, "overage_agreed") if sells else (False, "contract_used_up")
    if not sells:
        return False, "trial_used_up"
    if price == 0:
        return True, "free_of_charge"
    return (True, "has_credit") if credit > 0 else (False, "no_credit")


def available_to(state: AccountState, app: str) -> int:
    """Credit an app may use: shared, and its own (C4). What has expired by `now` is not counted."""
    own = sum(grant.remaining_micros for grant in state.purse.paid.get(app, ()))
    return shared_micros(state) + own


def shared_micros(state: AccountState) -> int:
    """Credit every app may use: free that has not expired, and paid that is mapped to none."""
    return state.available_micros - state.paid_apps_micros


def balance_status(state: AccountState) -> BalanceStatus:
    """C11."""
    if state.available_micros == 0:
        return "inactive"
    if state.raised:
        return "low_balance"
    paid = state.paid_shared_micros + state.paid_apps_micros
    return "using_free_credits" if state.available_micros > paid else "sufficient_funds"


def buttons(state: AccountState, policy: Policy) -> dict[str, str]:
    """P10: what is shown for each product."""
    return {
        product.id: "create_new" if product.id in state.licences else product.unlicensed
        for product in policy.catalog.products
    }


def burning(state: AccountState, at_us: int) -> Burning:
    """C11: over the seven whole days before the day of an instant."""
    today = day_of(at_us)
    days = [figures for day, figures in state.daily.items() if today - DAYS_AVERAGED <= day < today]
    units, micros = sum(units for units, _ in days), sum(micros for _, micros in days)
    left = state.available_micros * DAYS_AVERAGED // micros if micros > 0 else None
    return Burning(max(0, units) // DAYS_AVERAGED, max(0, micros) // DAYS_AVERAGED, left)
