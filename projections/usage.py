"""What was used and what it cost: typed queries for the command line and the report.

Money is integer micro-dollars (C7), days are UTC days of a unit's start (U5). Read after loading: see `positions`.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from typing import TextIO

from clickhouse_connect.driver.client import Client

from projections.sql import read_sql


@dataclass(frozen=True, slots=True)
class UserUsage:
    """One end user of a workspace: metered messages, net units of all environments."""

    workspace: str
    user: str
    events: int
    conversations: int
    sessions: int


@dataclass(frozen=True, slots=True)
class DayUsage:
    """Net units of one kind of one workspace that started on one UTC day."""

    workspace: str
    day: str
    unit: str
    count: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole in figures. `events` arrived: metered (distinct, U7), late and rejected ones; law 7 is `outcomes`.

    `charged_micros` is net of reversals and holds what is still due; `due_micros` is that part now.
    """

    events: int
    conversations: int
    sessions: int
    late: int
    rejected: int
    charged_micros: int
    due_micros: int
    lapsed_micros: int
    alerts: int
    outcomes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Balance:
    """A workspace's balances after its newest ledger record; `due_micros` is owed, never negative."""

    workspace: str
    sequence: int
    free_micros: int
    paid_shared_micros: int
    paid_apps_micros: int
    due_micros: int


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One kind of unit on one UTC day."""

    day: str
    kind: str
    units: int
    billable_units: int
    charged_micros: int


@dataclass(frozen=True, slots=True)
class RaisedAlert:
    """An alert as the owner was told (A1)."""

    time: datetime
    workspace: str
    kind: str
    available_micros: int
    threshold_micros: int | None
    message: str


def units_by_user(client: Client) -> list[UserUsage]:
    """Sorted by workspace and user."""
    return [UserUsage(*row) for row in client.query(read_sql("usage/units_by_user.sql")).result_rows]


def units_by_day(client: Client) -> list[DayUsage]:
    """Conversations and sessions, sorted by workspace, day and unit."""
    return [DayUsage(*row) for row in client.query(read_sql("usage/units_by_day.sql")).result_rows]


def summary(client: Client) -> Summary:
    """One row for everything loaded so far."""
    row = client.query(read_sql("usage/summary.sql")).first_row
    metered, conversations, sessions, late, rejected, *rest = row
    return Summary(metered + late + rejected, conversations, sessions, late, rejected, *rest)


def balances(client: Client) -> list[Balance]:
    """Sorted by workspace."""
    return [Balance(*row) for row in client.query(read_sql("usage/balances.sql")).result_rows]


def daily_trend(client: Client, workspace: str = "") -> list[TrendPoint]:
    """By day and kind, of one workspace or (empty) of all."""
    found = client.query(read_sql("usage/daily_trend.sql"), parameters={"workspace": workspace})
    return [TrendPoint(*row) for row in found.result_rows]


def alerts(client: Client) -> list[RaisedAlert]:
    """In the order of their instants."""
    return [RaisedAlert(*row) for row in client.query(read_sql("usage/alerts.sql")).result_rows]


def write_csv(file: TextIO, row: type[UserUsage] | type[DayUsage], rows: Sequence[UserUsage | DayUsage]) -> None:
    """Rows with a header: `workspace,user,events,conversations,sessions` or `workspace,day,unit,count`."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([field.name for field in fields(row)])
    writer.writerows(map(astuple, rows))
