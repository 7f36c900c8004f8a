"""Exports that ClickHouse makes and streams: Parquet and Arrow of the views with parameters (T1-T4, T7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from projections.ranges import Days, Grain
from projections.web.asked import BadParameter, period_asked, trend_asked
from schemas.errors import excerpt

_PIECE_BYTES = 1 << 16
FORMATS: Mapping[str, tuple[str, str]] = {
    "parquet": ("Parquet", "application/vnd.apache.parquet"),
    "arrow": ("ArrowStream", "application/vnd.apache.arrow.stream"),
}
"""Per `format`: ClickHouse's name, and the media type."""
_TREND_VIEWS = {Grain.DAY: "trend_daily", Grain.WEEK: "trend_weekly", Grain.MONTH: "trend_monthly"}
WHAT: Mapping[str, str] = {"trend": "", "charges": "charges_of_period", "ledger": "ledger_of_period"}
"""What can be exported, and the view it is read from (a trend's depends on its grain)."""


@dataclass(frozen=True, slots=True)
class Export:
    """Bytes of a file as they come."""

    pieces: Iterator[bytes]
    media_type: str
    file_name: str


def export(client: Client, workspace: str, what: str, query: Mapping[str, str], now: datetime) -> Export | None:
    """The file of a view; None for a thing that cannot be exported. Ranges are checked before (T7)."""
    if what not in WHAT:
        return None
    name = query.get("format") or "parquet"
    if name not in FORMATS:
        raise BadParameter("format", excerpt(name), f"one of {', '.join(FORMATS)}")
    view, days = _view_and_days(what, query, now)
    parameters: dict[str, Any] = {
        "workspace": workspace, "first": days.first, "last": days.last, "zone": days.zone.key,
    }  # fmt: skip
    sql = (
        f"SELECT * FROM {view}(workspace = {{workspace:String}}, first = {{first:Date}}, last = {{last:Date}}, "  # noqa: S608 - ours
        "zone = {zone:String}) ORDER BY ALL"
    )
    stream = client.raw_stream(sql, parameters=parameters, fmt=FORMATS[name][0])
    return Export(_pieces(stream), FORMATS[name][1], f"{what}.{name}")


def _view_and_days(what: str, query: Mapping[str, str], now: datetime) -> tuple[str, Days]:
    if what != "trend":
        return WHAT[what], period_asked(query, now)
    asked = trend_asked(query, now)
    return _TREND_VIEWS[asked.grain], asked.days


def _pieces(stream: Any) -> Iterator[bytes]:
    try:
        while piece := stream.read(_PIECE_BYTES):
            yield piece
    finally:
        stream.close()
