"""Commands that set how a workspace is told and paid for: alert thresholds (A1)."""

from __future__ import annotations

from schemas.changes import AlertsSet
from schemas.commands import SetAlerts
from streams.accounts.draft import Draft
from streams.accounts.orders import Order, Rule


def _set_alerts(order: Order, body: SetAlerts, draft: Draft) -> None:
    amounts = tuple(sorted(set(body.amounts_micros), reverse=True))
    draft.changes.append(AlertsSet(amounts, tuple(sorted(set(body.percents), reverse=True))))


RULES: dict[type, Rule] = {
    SetAlerts: Rule("settings_changed", lambda order, body: "", _set_alerts),
}
