"""The trend on a page: what was asked for as figures, chart and link, or why there is none (T7)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

from projections.account import AccountView
from projections.ranges import RangeRefused
from projections.trends import TrendPoint, trend
from projections.web.asked import BadParameter, trend_asked
from projections.web.chart import chart
from projections.web.visit import Visit

RANGE_FIELDS = ("grain", "first", "last", "months", "zone", "app", "unit", "channel", "by")


def trended(visit: Visit, app: str = "") -> dict[str, Any]:
    """The trend that was asked for, of one app if it is named; or why there is none (T7)."""
    query = {**visit.query, "app": app} if app else visit.query
    asked = {name: query.get(name, "") for name in RANGE_FIELDS}
    csv = "&".join(f"{name}={_quoted(value)}" for name, value in asked.items() if value)
    found: dict[str, Any] = {"asked": asked, "csv": csv, "refused": "", "points": [], "chart": None, "days": None}
    try:
        wanted = trend_asked(query, visit.now)
        points: list[TrendPoint] = trend(
            visit.client, visit.workspace, wanted.days, wanted.grain, wanted.by, wanted.only
        )
    except (RangeRefused, BadParameter) as why:
        return {**found, "refused": sentence(why)}
    whole = points if not wanted.by else trend(
        visit.client, visit.workspace, wanted.days, wanted.grain, (), wanted.only
    )  # fmt: skip
    return {**found, "points": points, "chart": chart(whole), "days": wanted.days}


def sentence(why: RangeRefused | BadParameter) -> str:
    """For people: what is wrong, without the parameter's name; its rule at the end."""
    if isinstance(why, BadParameter):
        return str(why)
    return f"{why.detail[:1].upper()}{why.detail[1:]} ({why.rule})."


def _quoted(text: str) -> str:
    return quote(text, safe="")


def newest_days(view: AccountView, app: str = "") -> dict[str, str] | None:
    """The seven days up to the newest billed unit: where to look if the default range is empty."""
    times = (one.last_billed for one in view.apps if one.last_billed is not None and app in ("", one.app))
    last = max(times, default=None)
    if last is None:
        return None
    return {"first": f"{last - timedelta(days=6):%Y-%m-%d}", "last": f"{last:%Y-%m-%d}"}
