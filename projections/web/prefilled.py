"""What forms begin with: the lists that fields choose from, and what is set now."""

from __future__ import annotations

from projections import particulars
from projections.profile import AppProfile, Profile
from projections.web.present import paid_for, usd
from projections.web.visit import Visit


def choices(visit: Visit, told: Profile, app: AppProfile | None = None) -> dict[str, list[tuple[str, str]]]:
    """The lists that fields choose from."""
    sees = visit.standing.sees_all
    open_payments = [p for p in particulars.payments(visit.client, visit.workspace) if p.status != "settled"]
    return {
        "apps_or_all": [("", "all apps (shared)"), *((one.app, one.app) for one in told.apps)],
        "people": [(user, f"{user} ({role})") for user, role, _ in told.people] if sees else [],
        "collaborators": [(user, f"{user} ({role})") for user, role in app.collaborators] if app else [],
        "plans": [(plan.id, plan.title) for plan in visit.catalog.plans if plan.kind == "subscription"],
        "open_payments": [(p.payment_id, f"{usd(p.amount_micros)} for {paid_for(p.pays_for)}") for p in open_payments],
    }


def as_set(settings: particulars.AccountSettings) -> dict[str, dict[str, str]]:
    """What the forms of settings begin with: what is set now."""
    found: dict[str, dict[str, str]] = {}
    if (auto := settings.auto_payment) is not None:
        found["set_auto_payment"] = {
            "below_micros": usd(auto.below_micros), "amount_micros": usd(auto.amount_micros), "method": auto.method,
            "retries": str(auto.retries), "maximum_per_day": str(auto.maximum_per_day),
        }  # fmt: skip
    if settings.alert_amounts_micros is not None:
        found["set_alerts"] = {
            "amounts_micros": "; ".join(usd(micros) for micros in settings.alert_amounts_micros),
            "percents": "; ".join(str(percent) for percent in settings.alert_percents),
        }
    return found
