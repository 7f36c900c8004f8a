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
from schemas.errors import QuarterhourError, excerpt

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
