"""Figures as people read them: dollars with all digits that matter, instants, kinds in words."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from schemas.catalog import MICROS_PER_USD


def usd(micros: int) -> str:
    """`-200000` to `-0.20`, `1234567890` to `1,234.56789`."""
    whole, rest = divmod(abs(micros), MICROS_PER_USD)
    digits = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'−' if micros < 0 else ''}{whole:,}.{digits}"


def about(micros: int) -> str:
    """For averages: to the cent, half up."""
    return usd((micros + 5_000) // 10_000 * 10_000)


def instant(value: datetime | None) -> str:
    """To the second, UTC; a dash for none."""
    return "–" if value is None else f"{value:%Y-%m-%d %H:%M:%S}"


def span(milliseconds: int) -> str:
    """`850 ms`, `2.4 s`, `3 h`, `12 days`."""
    for unit, length in (("days", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if milliseconds >= 2 * length:
            return f"{milliseconds // length:,} {unit}"
    return f"{milliseconds / 1000:.1f} s" if milliseconds >= 1000 else f"{milliseconds} ms"


def count(value: int) -> str:
    """`1234567` to `1,234,567`."""
    return f"{value:,}"


def age(value: datetime | None) -> str:
    """How long ago by the wall clock."""
    if value is None:
        return "never"
    return span(max(0, int((datetime.now(UTC) - value).total_seconds() * 1000)))


def words(name: str) -> str:
    """`credit_added` to `credit added`."""
    return name.replace("_", " ")


def paid_for(subject: str) -> str:
    """`app/helper` to `app helper`: what a payment is for."""
    return subject.replace("/", " ", 1)


def cell(value: object) -> Any:
    """A CSV cell: a text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
