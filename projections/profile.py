"""What a workspace is, beside its credit (T5): plans, support, fees and renewals, apps, people, licences, warnings.

From the ledger's changes and the newest entitlements, at the data's clock `now`. Money is integer micro-dollars (C7).
Credit, usage and cost by app are `account`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from clickhouse_connect.driver.client import Client

from projections.account import AccountView
from projections.sql import read_sql
from schemas.catalog import Catalog, load_catalog
from schemas.instants import micros_of

RENEWAL_WARNED = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class RunningPlan:
    """A plan other than the default one that is in force: of an app, a contract over all, or paid support (P3, P4, P7).

    `subscription` is `monthly`, `yearly` or empty for a trial. `fee_micros` is that of the next term, `renews` when it
    is due (P8), None where nothing renews. `included` units of this term, None where any number is, and how many are
    used.
    """

    kind: str
    app: str
    plan: str
    subscription: str
    fee_micros: int
    since: datetime
    renews: datetime | None
    ends: datetime | None
    included: int | None
    included_used: int


@dataclass(frozen=True, slots=True)
class AppProfile:
    """An app: whose it is, whether it is published (E4), on which plan, what it may do now (E1, E3)."""

    app: str
    owner: str
    created: datetime | None
    status: str
    products: tuple[str, ...]
    collaborators: tuple[tuple[str, str], ...]
    plan: str
    allowed: bool
    why: str
    since: datetime | None
    allowed_requests: int
    support_plan: str
    inactive: bool
    paid: bool


@dataclass(frozen=True, slots=True)
class Licence:
    """P10: a product, and the button it has: `create_new` when licensed, else what its product says."""

    product: str
    title: str
    licensed: bool
    button: str


@dataclass(frozen=True, slots=True)
class SystemWarning:
    """Something an owner should see now; gone when its cause is."""

    kind: str
    app: str
    text: str


@dataclass(frozen=True, slots=True)
class Profile:
    """The workspace. `balance`, averages and `days_left` are those published last (C11); None before that."""

    workspace: str
    now: datetime
    plan: str
    support_plan: str
    running: tuple[RunningPlan, ...]
    upgrade_requested: bool
    balance: str | None
    average_daily_units: int
    burn_micros_per_day: int
    days_left: int | None
    apps: tuple[AppProfile, ...]
    people: tuple[tuple[str, str, str], ...]
    licences: tuple[Licence, ...]
    warnings: tuple[SystemWarning, ...]


def profile(client: Client, workspace: str, catalog: Catalog | None = None) -> Profile | None:
    """The profile of a workspace; None if the ledger knows none of that name."""
    catalog, named = catalog or load_catalog(), {"workspace": workspace}
    known = "SELECT count() FROM (SELECT 1 FROM ledger_entries WHERE workspace = {workspace:String} LIMIT 1)"
    if not client.query(known, parameters=named).first_row[0]:
        return None
    now = client.query(_CLOCK).first_row[0]
    running = tuple(_running(client, workspace, now, catalog))
    rows = client.query(read_sql("reading/profile_apps.sql"), parameters=named).result_rows
    apps = tuple(_app(row, running, catalog) for row in rows)
    told = next((row for row in rows if row[16]), None)
    contract = next((plan for plan in running if plan.kind == "contract"), None)
    # What comes with published apps stands first in the catalog, what is paid for or agreed on after it.
    order = [plan.id for plan in catalog.support_plans]
    support = max((app.support_plan for app in apps if app.support_plan in order), key=order.index, default="")
    people = client.query(_PEOPLE, parameters=named).result_rows
    return Profile(
        workspace, now, contract.plan if contract else catalog.plans[0].title,
        _support_title(catalog, support), running,
        bool(client.query(_REQUESTED, parameters=named).first_row[0]), told[12] if told else None,
        told[13] if told else 0, told[14] if told else 0, told[15] if told else None, apps,
        tuple((user, role, email) for user, role, email in people), tuple(_licences(client, workspace, catalog)),
        tuple(_warnings(client, workspace, now, running, apps, told)),
    )  # fmt: skip


def as_published(view: AccountView, told: Profile) -> AccountView:
    """The account view with what only the profile knows: the balance status as ACCOUNTS published it, by the thresholds
    that owners set (C11, A1), and under a contract its plan and what remains of its requests (E3), at no price."""
    contract = next((plan for plan in told.running if plan.kind == "contract"), None)
    if told.balance:
        view = replace(view, status=told.balance.replace("_", " "))
    if contract:
        left = max((contract.included or 0) - contract.included_used, 0)
        view = replace(view, plan=contract.plan, price_micros=0, allowed_requests=left)
    return view


_CLOCK = "SELECT greatest((SELECT max(now) FROM watermarks), (SELECT max(time) FROM ledger_entries))"
_PEOPLE = "SELECT user, role, email FROM people WHERE workspace = {workspace:String} ORDER BY role DESC, user"
_LICENSED = "SELECT product FROM licences WHERE workspace = {workspace:String}"
_REQUESTED = """
SELECT argMax(change, (sequence, change_index)) = 'upgrade_requested' FROM ledger_changes
WHERE workspace = {workspace:String} AND change IN ('upgrade_requested', 'upgrade_declined', 'contract_began')
"""
_UNPAID = """
SELECT pays_for, amount_micros, due, status FROM payments
WHERE workspace = {workspace:String} AND status != 'settled' AND purpose NOT IN ('auto_top_up', 'top_up') ORDER BY due
"""
_EXPIRING = """
SELECT remaining_micros, expires FROM grant_statistics
WHERE workspace = {workspace:String} AND remaining_micros > 0 AND expires > {now:DateTime64(6, 'UTC')}
    AND expires <= {now:DateTime64(6, 'UTC')} + INTERVAL 7 DAY
ORDER BY expires
"""


def _running(client: Client, workspace: str, now: datetime, catalog: Catalog) -> Iterator[RunningPlan]:
    query = read_sql("reading/profile_plans.sql")
    for row in client.query(query, parameters={"workspace": workspace, "now": now}).result_rows:
        kind, app, plan_id, period, since, ends, terms, due, term, used = row
        title, fee, included = _terms(catalog, kind, plan_id, period, json.loads(terms), due, term)
        yield RunningPlan(kind, app, title, period, fee, since, due, ends, included, used)


def _terms(
    catalog: Catalog, kind: str, plan_id: str, period: str, terms: dict[str, Any], due: datetime | None, term: datetime
) -> tuple[str, int, int | None]:
    """Title, fee of the next term, included units of this one."""
    if kind == "contract":
        plan = catalog.plan_of_kind("contract")
        contract = terms["contract"]
        return plan.title if plan else plan_id, contract["price_micros"], contract["allowed_requests"]
    if kind == "support":
        return _support_title(catalog, plan_id), terms["monthly_micros"], None
    plan = catalog.plan(plan_id)
    if plan.trial is not None:
        return plan.title, 0, plan.trial.included
    now_offered = plan.offer(period, micros_of(term))
    next_offered = plan.offer(period, micros_of(due or term))
    return plan.title, next_offered.fee_micros if next_offered else 0, now_offered.included if now_offered else 0


def _app(row: tuple[Any, ...], running: tuple[RunningPlan, ...], catalog: Catalog) -> AppProfile:
    app, owner, created, products, status, allowed, why, since, requests, support, inactive, paid = row[:12]
    covering = next((plan for plan in running if plan.kind == "contract"), None)
    own = next((plan for plan in running if plan.kind == "app" and plan.app == app), None)
    plan = covering or own
    title = plan.plan if plan else catalog.plans[0].title
    is_told = bool(row[16])
    return AppProfile(
        app, owner, created, status, tuple(products), tuple((user, role) for user, role in row[17]), title, allowed,
        why, since if is_told else None, requests, support, inactive, paid,
    )  # fmt: skip


def _licences(client: Client, workspace: str, catalog: Catalog) -> Iterator[Licence]:
    licensed = {row[0] for row in client.query(_LICENSED, parameters={"workspace": workspace}).result_rows}
    for product in catalog.products:
        has = product.id in licensed
        yield Licence(product.id, product.title, has, "create_new" if has else product.unlicensed)


def _warnings(
    client: Client,
    workspace: str,
    now: datetime,
    running: tuple[RunningPlan, ...],
    apps: tuple[AppProfile, ...],
    told: Any,
) -> Iterator[SystemWarning]:
    balance = told[12] if told else ""
    if balance == "low_balance":
        yield SystemWarning("low_balance", "", "The credit is below the alert threshold.")
    if balance == "inactive":
        yield SystemWarning("zero_balance", "", "No credit is left.")
    named = {"workspace": workspace}
    for left, expires in client.query(_EXPIRING, parameters={**named, "now": now}).result_rows:
        yield SystemWarning("free_credit_expiring", "", f"{_usd(left)} of free credit expires at {_at(expires)}.")
    for pays_for, amount, due, status in client.query(_UNPAID, parameters=named).result_rows:
        how = "has failed" if status == "failed" else "is open"
        what = pays_for.replace("/", " ", 1)  # `app/helper`
        yield SystemWarning("payment_due", "", f"The fee of {_usd(amount)} for {what}, due at {_at(due)}, {how}.")
    for plan in running:
        what = plan.app or plan.kind
        if plan.renews is not None and plan.fee_micros and plan.renews - now <= RENEWAL_WARNED:
            text = f"{plan.plan} of {what} renews at {_at(plan.renews)} for {_usd(plan.fee_micros)}."
            yield SystemWarning("renewal_due", plan.app, text)
        if plan.kind == "contract" and plan.included and plan.included_used * 100 >= plan.included * 80:
            text = f"{plan.included_used:,} of {plan.included:,} requests of the contract's term are used."
            yield SystemWarning("contract_usage", "", text)
    for app in apps:
        if app.status == "published" and app.since is not None and not app.allowed:
            reason = app.why.replace("_", " ")
            yield SystemWarning("app_stopped", app.app, f"{app.app} does not respond since {_at(app.since)}: {reason}.")


def _support_title(catalog: Catalog, support_id: str) -> str:
    support = catalog.support_plan(support_id)
    return support.title if support else support_id


def _usd(micros: int) -> str:
    whole, part = divmod(micros, 1_000_000)
    return f"USD {whole:,}.{part // 10_000:02}" if part % 10_000 == 0 else f"USD {whole:,}.{part:06}"


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
