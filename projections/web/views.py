"""What each page shows, and to whom: a table of views, each a path, a need (W2) and how its figures are gathered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from projections import account, explain, particulars
from projections.membership import Need, workspaces_of
from projections.profile import AppProfile, RunningPlan, as_published, profile
from projections.ranges import RangeRefused
from projections.statement import statement
from projections.web.actions import KNOWN_KINDS
from projections.web.app_list import listed
from projections.web.asked import BadParameter, ledger_asked, period_asked, sequence_of, terms_asked
from projections.web.caught import CatcherAway
from projections.web.prefilled import as_set, choices
from projections.web.trended import newest_days, sentence, trended
from projections.web.visit import NoSuchPage, Visit
from projections.what_if import what_if
from schemas.catalog import Catalog

Found = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class View:
    """A page. `tab` is where it stands in the navigation."""

    name: str
    path: str
    need: Need
    gather: Callable[[Visit], Found]
    tab: str = ""


def _workspaces(visit: Visit) -> Found:
    roles = {} if visit.signed.is_operator else workspaces_of(visit.client, visit.signed.name)
    dead = particulars.dead_deliveries(visit.client) if visit.signed.is_operator else 0
    lines = account.workspaces(visit.client)
    if not visit.signed.is_operator:
        lines = [line for line in lines if roles.get(line.workspace) == "owner"]
    others = {name: role for name, role in roles.items() if role != "owner"}
    return "workspaces.html", {"workspaces": lines, "others": others, "dead": dead,
                               "fresh": account.freshness(visit.client)}  # fmt: skip


def _overview(visit: Visit) -> Found:
    if not visit.standing.sees_all:
        return "part.html", {"role": visit.standing.role, "apps": _seen_apps(visit)}
    view, told = visit.account(), visit.profile()
    published = [app for app in told.apps if app.status == "published"]
    stopped = [app.app for app in published if app.since is not None and not app.allowed]
    return "workspace.html", {
        "status": as_published(view, told).status,
        "left_micros": view.free_micros + view.paid_shared_micros + view.paid_apps_micros,
        "free_until": min((g.expires for g in view.grants if g.expires and g.remaining_micros > 0), default=None),
        "contract": next((plan for plan in told.running if plan.kind == "contract"), None),
        "responding": len(published) - len(stopped), "stopped": stopped,
        "view": view, "profile": told, "entries": account.ledger(visit.client, visit.workspace, limit=8),
        "fresh": account.freshness(visit.client), "newest": newest_days(view),
        "support": visit.catalog.support_plan(_support_id(visit.catalog, told.support_plan)),
        "alerts": particulars.told_alerts(visit.client, visit.workspace)[:5], "apps": listed(view, told, {})[:8],
        **trended(visit),
    }  # fmt: skip


def _usage(visit: Visit) -> Found:
    view = visit.account()
    names = sorted({app.app for app in view.apps})
    return "usage.html", {"apps": names, "newest": newest_days(view), **trended(visit)}


def _apps(visit: Visit) -> Found:
    view, told = visit.account(), visit.profile()
    asked = {name: visit.query.get(name, "") for name in ("sort", "order", "q", "show")}
    return "apps.html", {
        "apps": listed(view, told, visit.query), "total": len(listed(view, told, {})), "asked": asked,
    }  # fmt: skip


def _app(visit: Visit) -> Found:
    name, told = visit.path["app"], visit.profile()
    found = next((app for app in told.apps if app.app == name), None)
    if not visit.standing.meets(Need.APP, name):
        if found is None:
            raise NoSuchPage(f"Workspace {visit.workspace} has no app {name}.")
        return "app.html", {"app": found, "bills": False}
    view = visit.account()
    used = next((app for app in view.apps if app.app == name), None)
    if found is None and used is None:
        raise NoSuchPage(f"Workspace {visit.workspace} has no app {name}.")
    running = [plan for plan in told.running if plan.app == name or plan.kind == "contract"]
    return "app.html", {
        "app": found, "bills": True, "used": used, "running": running,
        "grants": [grant for grant in view.grants if grant.app == name],
        "charges": particulars.app_charges(visit.client, visit.workspace, name),
        "warnings": [warning for warning in told.warnings if warning.app == name],
        "alerts": particulars.told_alerts(visit.client, visit.workspace, name)[:10],
        "choices": choices(visit, told, found), "newest": newest_days(view, name),
        "support": _support_title(visit.catalog, found.support_plan if found else ""),
        "moot": _moot_of_app(found, running), **trended(visit, name),
    }  # fmt: skip


def _moot_of_app(app: AppProfile | None, running: list[RunningPlan]) -> set[str]:
    if app is None:
        return set(KNOWN_KINDS)  # nobody created it, so nobody can change it
    moot = {"publish_app" if app.status == "published" else "unpublish_app"}
    return moot | (set() if app.collaborators else {"remove_collaborator"}) | (set() if running else {"cancel"})


def _credit(visit: Visit) -> Found:
    view, told, settings = visit.account(), visit.profile(), particulars.account_settings(visit.client, visit.workspace)
    lists = choices(visit, told)
    moot = set() if lists["open_payments"] else {"settle_payment", "fail_payment"}
    return "credit.html", {
        "view": view, "status": as_published(view, told).status,
        "payments": particulars.payments(visit.client, visit.workspace),
        "settings": settings, "choices": lists, "catalog": visit.catalog,
        "moot": moot | (set() if settings.auto_payment else {"stop_auto_payment"}), "as_set": as_set(settings),
    }  # fmt: skip


def _plan(visit: Visit) -> Found:
    told = visit.profile()
    running = {plan.kind for plan in told.running}
    moot = {"request_upgrade"} if told.upgrade_requested or "contract" in running else {"decline_upgrade"}
    moot |= set() if "contract" in running else {"end_contract"}
    moot |= {"subscribe_support"} if "contract" in running else set()
    moot |= set() if "support" in running else {"cancel_support"}
    return "plan.html", {
        "profile": told, "catalog": visit.catalog, "choices": choices(visit, told), "moot": moot,
    }  # fmt: skip


def _people(visit: Visit) -> Found:
    if not visit.standing.sees_all:
        return "part.html", {"role": visit.standing.role, "apps": _seen_apps(visit)}
    told = visit.profile()
    return "people.html", {"profile": told, "choices": choices(visit, told)}


def _alerts(visit: Visit) -> Found:
    visit.account()
    return "alerts.html", {
        "alerts": particulars.told_alerts(visit.client, visit.workspace),
        "mails": particulars.deliveries(visit.client, visit.workspace),
    }


def _mail(visit: Visit) -> Found:
    found = particulars.delivery(visit.client, visit.workspace, visit.path["delivery_id"])
    if found is None:
        raise NoSuchPage(f"Workspace {visit.workspace} has no delivery {visit.path['delivery_id']}.")
    sent, steps = found
    try:
        mail, away = visit.catcher.mail(sent.message_id) if sent.channel == "email" else None, ""
    except CatcherAway as error:
        mail, away = None, str(error)
    return "mail.html", {"sent": sent, "steps": steps, "mail": mail, "away": away, "catches": visit.catcher.is_there}


def _ledger(visit: Visit) -> Found:
    view = visit.account()
    before, limit = ledger_asked(visit.query)
    entries = account.ledger(visit.client, visit.workspace, before, limit)
    older = entries[-1].sequence if entries and entries[-1].sequence > 1 else None
    return "ledger.html", {"entries": entries, "view": view, "older": older, "is_first": before is None}


def _entry(visit: Visit) -> Found:
    sequence = sequence_of(visit.path["sequence"])
    entry = explain.explain_entry(visit.client, visit.workspace, sequence)
    if entry is None:
        raise NoSuchPage(f"The ledger of workspace {visit.workspace} has no record {sequence}.")
    return "entry.html", {"entry": entry}


def _events(visit: Visit) -> Found:
    event_id = visit.query.get("id", "")
    found = explain.explain_event(visit.client, event_id, visit.workspace) if event_id else []
    return "events.html", {"id": event_id, "found": found}


def _unit(visit: Visit) -> Found:
    found = explain.explain_unit(visit.client, visit.path["unit_id"], visit.workspace)
    if found is None or not visit.standing.meets(Need.APP, found.unit.app):
        raise NoSuchPage(f"Workspace {visit.workspace} has no unit {visit.path['unit_id']} of yours.")
    return "unit.html", {"found": found, "sees_all": visit.standing.sees_all}


def _statements(visit: Visit) -> Found:
    visit.account()
    asked = {name: visit.query.get(name, "") for name in ("first", "last", "months", "zone", "plan", "period",
                                                          "price_micros", "included", "fee_micros")}  # fmt: skip
    found: dict[str, Any] = {"asked": asked, "plans": [p for p in visit.catalog.plans if p.kind != "trial"],
                             "refused": "", "statement": None, "compared": None}  # fmt: skip
    try:
        days = period_asked(visit.query, visit.now)
        found |= {"statement": statement(visit.client, visit.workspace, days), "days": days}
        if asked["plan"]:
            terms = terms_asked(visit.query, visit.catalog, days)
            found["compared"] = what_if(visit.client, visit.workspace, days, terms)
    except (RangeRefused, BadParameter) as why:
        found["refused"] = sentence(why)
    return "statements.html", found


def _seen_apps(visit: Visit) -> list[AppProfile]:
    """The apps of somebody who does not see all."""
    seen = visit.standing.owns | visit.standing.works_on
    found = profile(visit.client, visit.workspace, visit.catalog) if seen and visit.standing.role == "member" else None
    return [app for app in found.apps if app.app in seen] if found else []


def _support_title(catalog: Catalog, support_id: str) -> str:
    support = catalog.support_plan(support_id)
    return support.title if support else support_id


def _support_id(catalog: Catalog, title: str) -> str:
    return next((plan.id for plan in catalog.support_plans if plan.title == title), "")


_ONE = "/workspaces/{workspace}"
VIEWS = (
    View("workspaces", "/", Need.SIGNED_IN, _workspaces),
    View("overview", _ONE, Need.PART, _overview, "overview"),
    View("usage", f"{_ONE}/usage", Need.WHOLE, _usage, "usage"),
    View("apps", f"{_ONE}/apps", Need.WHOLE, _apps, "apps"),
    View("app", f"{_ONE}/apps/{{app}}", Need.APP_SEEN, _app, "apps"),
    View("credit", f"{_ONE}/credit", Need.WHOLE, _credit, "credit"),
    View("plan", f"{_ONE}/plan", Need.WHOLE, _plan, "plan"),
    View("people", f"{_ONE}/people", Need.PART, _people, "people"),
    View("alerts", f"{_ONE}/alerts", Need.WHOLE, _alerts, "alerts"),
    View("mail", f"{_ONE}/mails/{{delivery_id}}", Need.WHOLE, _mail, "alerts"),
    View("ledger", f"{_ONE}/ledger", Need.WHOLE, _ledger, "ledger"),
    View("entry", f"{_ONE}/ledger/{{sequence}}", Need.WHOLE, _entry, "ledger"),
    View("events", f"{_ONE}/events", Need.WHOLE, _events, "ledger"),
    View("unit", f"{_ONE}/units/{{unit_id}}", Need.PART, _unit, "ledger"),
    View("statements", f"{_ONE}/statements", Need.WHOLE, _statements, "statements"),
)
