"""Commands that set how a workspace is told and paid for: alert thresholds (A1), auto payment (C10)."""

from __future__ import annotations

from schemas.changes import AlertsSet, AutoPaymentSet, AutoPaymentStopped
from schemas.commands import SetAlerts, SetAutoPayment, StopAutoPayment
from streams.accounts.draft import Draft
from streams.accounts.funding import outside_bounds
from streams.accounts.orders import Order, Rule
from streams.accounts.payment_orders import bought_by_hand


def _set_alerts(order: Order, body: SetAlerts, draft: Draft) -> None:
    amounts = tuple(sorted(set(body.amounts_micros), reverse=True))
    draft.changes.append(AlertsSet(amounts, tuple(sorted(set(body.percents), reverse=True))))


def _refuse_auto_payment(order: Order, body: SetAutoPayment) -> str:
    bounds = order.policy.catalog.auto_payment
    if body.method == "wire":
        return "method: a wire transfer cannot be asked for by itself; card or ach can (C10)."
    if not bought_by_hand(order.state):
        return "workspace: auto payment needs one purchase made by hand before it (C10)."
    if body.retries > bounds.maximum_retries:
        return f"retries: {body.retries} is above the most allowed, {bounds.maximum_retries} (C10)."
    if body.maximum_per_day > bounds.maximum_per_day:
        return f"maximum_per_day: {body.maximum_per_day} is above the most allowed, {bounds.maximum_per_day} (C10)."
    return outside_bounds(body.amount_micros, order.policy)


def _set_auto_payment(order: Order, body: SetAutoPayment, draft: Draft) -> None:
    draft.changes.append(
        AutoPaymentSet(body.below_micros, body.amount_micros, body.method, body.retries, body.maximum_per_day)
    )


def _refuse_stopping(order: Order, _: StopAutoPayment) -> str:
    return "" if order.state.auto is not None else "workspace: auto payment is not on (C10)."


def _stop_auto_payment(order: Order, _: StopAutoPayment, draft: Draft) -> None:
    draft.changes.append(AutoPaymentStopped())


RULES: dict[type, Rule] = {
    SetAlerts: Rule("settings_changed", lambda order, body: "", _set_alerts),
    SetAutoPayment: Rule("settings_changed", _refuse_auto_payment, _set_auto_payment),
    StopAutoPayment: Rule("settings_changed", _refuse_stopping, _stop_auto_payment),
}
