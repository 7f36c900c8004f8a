"""An account as tables, for people."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from projections.account import AccountView
from scripts.report import usd


def show_account(console: Console, view: AccountView) -> None:
    """Print an account: balances and status, grants, apps, alerts."""
    left = "-" if view.days_left is None else f"{view.days_left} days"
    console.print(
        f"{view.workspace}: {view.status}, {view.plan}, {view.ledger_records:,} ledger records", highlight=False
    )
    balances = Table("free", "paid, shared", "paid, of apps", "owed", "used a day", "lasts", "allowed requests")
    balances.add_row(
        usd(view.free_micros), usd(view.paid_shared_micros), usd(view.paid_apps_micros), usd(view.due_micros),
        usd(view.burn_micros_per_day), left, f"{view.allowed_requests:,}",
    )  # fmt: skip
    console.print(balances)
    grants = Table(
        "credit", "of", "given", "used", "lapsed", "left", "expires", title="credit, USD", title_justify="left"
    )
    for grant in view.grants:
        expires = f"{grant.expires:%Y-%m-%d %H:%M}Z" if grant.expires else "never"
        amounts = (grant.given_micros, grant.used_micros, grant.lapsed_micros, grant.remaining_micros)
        grants.add_row(grant.credit, grant.app or "all apps", *(usd(micros) for micros in amounts), expires)
    apps = Table(
        "app", "conversations", "sessions", "billed", "cost", "credit", "owed", title="apps", title_justify="left"
    )
    for app in view.apps:
        costs = (app.charged_micros, app.credit_micros, app.due_micros)
        counts = (app.conversations, app.sessions, app.billed_units)
        apps.add_row(app.app, *(f"{count:,}" for count in counts), *(usd(micros) for micros in costs))
    alerts = Table("when", "alert", "what", title="alerts", title_justify="left")
    for alert in view.alerts:
        alerts.add_row(f"{alert.time:%Y-%m-%d %H:%M}Z", alert.kind, escape(alert.message))
    for table in (grants, apps, alerts):
        if table.row_count:
            console.print(table)
