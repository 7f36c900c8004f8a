"""Usage trends: billed units and what they cost, by period, and which credit paid (T1-T4), in the reader's time zone.

Read from `billed_quarters`, which holds quarters of an hour, so any zone's days are exact. Ranges: `ranges`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from clickhouse_connect.driver.client import Client

from projections.ranges import Days, Grain, RangeRefused
from projections.sql import read_sql
from schemas.errors import excerpt

DIMENSIONS = ("app", "unit", "channel")
"""What a trend may be split by (T1)."""
_COLUMNS = {"app": "app", "unit": "unit_kind", "channel": "channel"}
_QUARTER_SECONDS = 900
_GRANT = 0
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
    begin, end = (_quarter(instant) for instant in days.bounds())
    periods = days.periods(grain)
    begins = begins_of(days, periods)
    parameters = {
        "workspace": workspace, "begin": begin, "end": end, "begins": begins,
        **{f"by_{name}": column if name in by else "nothing" for name, column in _COLUMNS.items()},
        "app": only.app, "unit": only.unit, "channel": only.channel,
    }  # fmt: skip
    rows = client.query(read_sql("reading/trend.sql"), parameters=parameters).result_rows
    points = _points(rows, dict(zip(begins, periods, strict=True)))
    groups = sorted({key[1:] for key in points}) if by else [("", "", "")]
    return [points.get((period, *group)) or _nothing(period, *group) for period in periods for group in groups]


def begins_of(days: Days, periods: Sequence[date]) -> list[int]:
    """The quarter of an hour since 1970 (UTC) with which each period begins, or the days do.

    A day that a zone left out begins with the next one, so of equal ones the last counts.
    """
    first = _quarter(days.bounds()[0])
    return [max(first, _quarter(datetime.combine(period, time(), days.zone))) for period in periods]


def _quarter(instant: datetime) -> int:
    return int(instant.timestamp()) // _QUARTER_SECONDS


def _points(rows: Sequence[Sequence[Any]], periods: Mapping[int, date]) -> dict[tuple[Any, ...], TrendPoint]:
    """By period and group: what each kind of credit paid, from what each account did. `periods`: by their begins."""
    credits = {account: credit for period, credit, _, _, account, _, _ in rows if period == _GRANT}
    sums: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * 8)
    for begin, *group, account, units, micros in rows:
        if begin != _GRANT:
            found = sums[periods[begin], *group]
            place = 3 if account.startswith("due") else _PLACE[credits[account]]
            for index, value in ((0, units), (place, units), (4, micros), (4 + place, micros)):
                found[index] += value
    return {group: TrendPoint(*group, *found) for group, found in sums.items()}


def _nothing(period: date, app: str, unit: str, channel: str) -> TrendPoint:
    return TrendPoint(period, app, unit, channel, 0, 0, 0, 0, 0, 0, 0, 0)
