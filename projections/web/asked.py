"""Parameters of requests, checked: what is wrong is an error that names field, value and rule (T7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from typing import TypeVar

from projections.balance import Basis
from projections.ranges import Days, Grain, RangeRefused, chosen, zone_named
from projections.trends import Filter
from projections.what_if import Terms
from schemas.catalog import Catalog
from schemas.errors import QuarterhourError, excerpt
from schemas.instants import micros_of
from schemas.plans import MONTHS

Choice = TypeVar("Choice", bound=Enum)
MOST_ENTRIES = 1_000


@dataclass(eq=False)
class BadParameter(QuarterhourError):
    """A parameter that cannot be understood."""

    field: str
    value: str
    detail: str

    def __str__(self) -> str:
        return f"{self.field}: {self.detail} (found {self.value!r})"


@dataclass(frozen=True, slots=True)
class TrendAsked:
    """A trend as it was asked for."""

    days: Days
    grain: Grain
    by: tuple[str, ...]
    only: Filter


def trend_asked(query: Mapping[str, str], now: datetime) -> TrendAsked:
    """`grain`, `first`, `last`, `months`, `zone`, `by` (comma-separated), `app`, `unit`, `channel`."""
    grain = _choice(Grain, query, "grain", Grain.DAY)
    zone = zone_named(query.get("zone") or "UTC")
    days = chosen(grain, now, zone, _number(query, "months"), _day(query, "first"), _day(query, "last"))
    by = tuple(name for name in query.get("by", "").split(",") if name)
    return TrendAsked(days, grain, by, Filter(query.get("app", ""), query.get("unit", ""), query.get("channel", "")))


def period_asked(query: Mapping[str, str], now: datetime) -> Days:
    """`first` and `last`, or `months`, and `zone`: of a statement or an export; the previous month if not said (T3)."""
    zone = zone_named(query.get("zone") or "UTC")
    return chosen(Grain.MONTH, now, zone, _number(query, "months"), _day(query, "first"), _day(query, "last"))


def terms_asked(query: Mapping[str, str], catalog: Catalog, days: Days) -> Terms:
    """`plan`, `period`, and for a contract's plan `price_micros`, `included`, `fee_micros` (U10, P3, P4)."""
    plans = {plan.id: plan for plan in catalog.plans if plan.kind != "trial"}
    name = query.get("plan") or ""
    if name not in plans:
        raise BadParameter("plan", excerpt(name), f"one of {', '.join(plans)} (P1)")
    plan, period = plans[name], query.get("period") or "monthly"
    if period not in MONTHS:
        raise BadParameter("period", excerpt(period), f"one of {', '.join(MONTHS)} (P4)")
    figures = {field: _number(query, field) for field in ("price_micros", "included", "fee_micros")}
    if plan.kind == "contract" and figures["price_micros"] is None:
        raise BadParameter("price_micros", "", "a contract brings its own price, so one is needed to compare (P3)")
    if plan.kind != "contract" and any(value is not None for value in figures.values()):
        raise BadParameter("price_micros", name, "prices of this plan are in the catalog (P1)")
    if plan.kind == "subscription" and plan.offer(period, micros_of(days.bounds()[0])) is None:
        raise BadParameter("period", period, f"plan {name} has no such offer when the period begins (P4)")
    return Terms(plan, period, *(value or 0 for value in figures.values()))


def balance_asked(query: Mapping[str, str], now: datetime) -> tuple[datetime, Basis]:
    """`at` (RFC 3339 with an offset; default now) and `basis`."""
    return _instant(query, "at") or now, _choice(Basis, query, "basis", Basis.EFFECT)


def ledger_asked(query: Mapping[str, str]) -> tuple[int | None, int]:
    """`before` and `limit`."""
    limit = _number(query, "limit")
    if limit is not None and not 1 <= limit <= MOST_ENTRIES:
        raise BadParameter("limit", str(limit), f"from 1 to {MOST_ENTRIES:,}")
    return _number(query, "before"), 25 if limit is None else limit


def sequence_of(text: str) -> int:
    """A ledger record's number."""
    number = _number({"sequence": text}, "sequence")
    assert number is not None
    return number


def utc_now() -> datetime:
    """The wall clock, read here only."""
    return datetime.now(UTC)


def _choice(kind: type[Choice], query: Mapping[str, str], field: str, default: Choice) -> Choice:
    text = query.get(field)
    if not text:
        return default
    try:
        return kind(text)
    except ValueError:
        raise BadParameter(field, excerpt(text), f"one of {', '.join(item.value for item in kind)}") from None


def _number(query: Mapping[str, str], field: str) -> int | None:
    text = query.get(field)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadParameter(field, excerpt(text), "a whole number, not negative")
    return int(text)


def _day(query: Mapping[str, str], field: str) -> date | None:
    text = query.get(field)
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise RangeRefused(field, excerpt(text), "T2-T4", "a day such as 2026-01-31") from None


def _instant(query: Mapping[str, str], field: str) -> datetime | None:
    text = query.get(field)
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        instant = datetime.min  # noqa: DTZ901 - stands for "not understood"
    if instant.tzinfo is None or not 1970 <= instant.year <= 2200:
        detail = "an instant with an offset, such as 2026-01-31T09:00:00Z, from 1970 to 2200 (L4)"
        raise BadParameter(field, excerpt(text), detail)
    return instant
