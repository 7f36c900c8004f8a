"""The account view (T5): what the Plan & Usage page shows of a workspace, and the list of all.

Money is integer micro-dollars (C7). "Now" is the data's clock, the newest event time METER has told of, so that a
replayed log looks as it did then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from clickhouse_connect.driver.client import Client

from projections.account_parts import AlertView, AppView, GrantView, read_parts
from projections.sql import read_sql
from schemas.catalog import Catalog, load_catalog
from schemas.instants import micros_of

AVERAGE_DAYS = 7
INACTIVE_DAYS = 30
"""E4: an app without a billed unit for so long is inactive."""


@dataclass(frozen=True, slots=True)
class WorkspaceLine:
    """One workspace in the list of all."""

    workspace: str
    free_micros: int
    paid_shared_micros: int
    paid_apps_micros: int
    due_micros: int
    charged_micros: int


@dataclass(frozen=True, slots=True)
class AccountView:
    """Everything about one workspace. `status` is C11's; `days_left` None while nothing is used or nothing is left.
    `allowed_requests` is what credit pays for at `price_micros`, or what remains of a contract's (E3), at price 0.

    `average_daily_units` and `burn_micros_per_day` are of the 7 days up to `now`, rounded down.
    """

    workspace: str
    now: datetime
    created: datetime
    ledger_records: int
    free_micros: int
    paid_shared_micros: int
    paid_apps_micros: int
    due_micros: int
    status: str
    plan: str
    price_micros: int
    allowed_requests: int
    average_daily_units: int
    burn_micros_per_day: int
    days_left: int | None
    grants: tuple[GrantView, ...]
    apps: tuple[AppView, ...]
    alerts: tuple[AlertView, ...]
    late_events: int


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One ledger record as a line of the statement: what it changed, and the balances after it."""

    sequence: int
    time: datetime
    kind: str
    cause: str
    note: str
    usage_micros: int
    credit_micros: int
    free_micros: int
    paid_shared_micros: int
    paid_apps_micros: int
    due_micros: int


@dataclass(frozen=True, slots=True)
class Freshness:
    """How fresh the tables are (T6): the newest append that can be seen, and append to visible in ms by topic."""

    topics: tuple[TopicFreshness, ...]
    data_up_to: datetime | None
    clock: datetime | None
    rejected_events: int
    late_events: int


@dataclass(frozen=True, slots=True)
class TopicFreshness:
    """One topic over the last hour of loading."""

    topic: str
    records: int
    p50_ms: int
    p99_ms: int


def workspaces(client: Client) -> list[WorkspaceLine]:
    """All workspaces, those that owe first, then by name."""
    return [WorkspaceLine(*row) for row in client.query(read_sql("reading/workspaces.sql")).result_rows]


def freshness(client: Client) -> Freshness:
    """How fresh what is read now is."""
    row = client.query(read_sql("reading/clock.sql")).first_row
    topics = "SELECT topic, records, p50_ms, p99_ms FROM freshness ORDER BY topic"
    return Freshness(tuple(TopicFreshness(*found) for found in client.query(topics).result_rows), *row)


def ledger(client: Client, workspace: str, before: int | None = None, limit: int = 25) -> list[LedgerEntry]:
    """The newest ledger records, newest first; `before` a sequence number, to go on."""
    highest = (1 << 63) - 1 if before is None else before
    parameters = {"workspace": workspace, "before": highest, "limit": limit}
    return [
        LedgerEntry(*row) for row in client.query(read_sql("reading/ledger.sql"), parameters=parameters).result_rows
    ]


def account_view(client: Client, workspace: str, catalog: Catalog | None = None) -> AccountView | None:
    """The account of a workspace by its credit alone, as if on the first plan (`profile.as_published` knows more); None
    if the ledger knows none of that name."""
    catalog = catalog or load_catalog()
    now = _clock(client, workspace)
    found = now and read_parts(client, workspace, now - timedelta(AVERAGE_DAYS), now - timedelta(INACTIVE_DAYS))
    if not now or not found:
        return None
    plan = catalog.plans[0]
    units, micros = found.recent()
    price = plan.price_micros(plan.billing_unit, micros_of(now))
    credit = found.free_micros + found.paid_shared_micros + found.paid_apps_micros
    burn = micros // AVERAGE_DAYS
    return AccountView(
        workspace, now, found.created, found.records, found.free_micros, found.paid_shared_micros,
        found.paid_apps_micros, found.due_micros,
        _status(found.free_micros, credit, catalog.alerts.low_balance_micros), plan.title, price,
        max(credit, 0) // price if price else 0, units // AVERAGE_DAYS, burn,
        credit // burn if burn > 0 and credit > 0 else None, found.grants(), found.apps(), found.alerts(),
        found.late_events,
    )  # fmt: skip


def _clock(client: Client, workspace: str) -> datetime | None:
    """The data's clock: the newest event time METER has told of, or before it told any, the newest posting's."""
    now: datetime | None = client.query("SELECT if(count() = 0, NULL, max(now)) FROM watermarks").first_row[0]
    if now is None:
        query = "SELECT if(count() = 0, NULL, max(time)) FROM ledger_entries WHERE workspace = {workspace:String}"
        now = client.query(query, parameters={"workspace": workspace}).first_row[0]
    return now


def _status(free_micros: int, credit_micros: int, low_micros: int) -> str:
    """C11."""
    if credit_micros <= 0:
        return "inactive"
    if free_micros > 0:
        return "using free credits"
    return "low balance" if credit_micros < low_micros else "sufficient funds"
