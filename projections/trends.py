"""Usage trends: billed units and what they cost, by period, and which credit paid (T1-T4), in the reader's time zone.

Read from `billed_quarters`, which holds quarters of an hour, so any zone's days are exact. Ranges: `ranges`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from clickhouse_connect.driver.client import Client

from projections.ranges import Days, Grain, RangeRefused
from projections.sql import read_sql
from schemas.errors import excerpt

DIMENSIONS = ("app", "unit", "channel")
"""What a trend may be split by (T1)."""
_GRANT = date(1970, 1, 1)
_PLACE = {"free": 1, "paid": 2}


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One period of one group. `period` is its first day; `app`, `unit`, `channel` are empty where not split by.

    Units count with the credit that paid their first part, net of reversals; money in micro-dollars is exact by part.
    `due_*`: no credit was there when they were charged (C6).
    """

    period: date
    app: str
    unit: str
    channel: str
    units: int
    free_units: int
    paid_units: int
    due_units: int
    micros: int
    free_micros: int
    paid_micros: int
    due_micros: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Only this app, kind of unit or channel, where not empty."""

    app: str = ""
    unit: str = ""
    channel: str = ""


def trend(
    client: Client,
    workspace: str,
    days: Days,
    grain: Grain = Grain.DAY,
    by: Sequence[str] = (),
    only: Filter | None = None,
) -> list[TrendPoint]:
    """The points by period and group, zeros where nothing was billed; not split, one point for each period."""
    for dimension in by:
        if dimension not in DIMENSIONS:
            allowed = ", ".join(DIMENSIONS)
            raise RangeRefused("by", excerpt(dimension), "T1", f"trends are split by {allowed}")
    only = only or Filter()
    begin, end = days.bounds()
    parameters = {
        "workspace": workspace, "begin_s": int(begin.timestamp()), "end_s": int(end.timestamp()), "grain": grain.value,
        "zone": days.zone.key, "by": list(by), "app": only.app, "unit": only.unit, "channel": only.channel,
    }  # fmt: skip
    rows = client.query(read_sql("reading/trend.sql"), parameters=parameters).result_rows
    points = _points(rows)
    groups = sorted({key[1:] for key in points}) if by else [("", "", "")]
    periods = days.periods(grain)
    return [points.get((period, *group)) or _nothing(period, *group) for period in periods for group in groups]


def _points(rows: Sequence[Sequence[Any]]) -> dict[tuple[Any, ...], TrendPoint]:
    """By period and group: what each kind of credit paid, from what each account did."""
    credits = {account: credit for period, credit, _, _, account, _, _ in rows if period == _GRANT}
    sums: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * 8)
    for *group, account, units, micros in rows:
        if group[0] != _GRANT:
            found = sums[tuple(group)]
            place = 3 if account.startswith("due") else _PLACE[credits[account]]
            for index, value in ((0, units), (place, units), (4, micros), (4 + place, micros)):
                found[index] += value
    return {group: TrendPoint(*group, *found) for group, found in sums.items()}


def _nothing(period: date, app: str, unit: str, channel: str) -> TrendPoint:
    return TrendPoint(period, app, unit, channel, 0, 0, 0, 0, 0, 0, 0, 0)
