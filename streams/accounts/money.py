"""Amounts in words: exact, never rounded (C7)."""

from __future__ import annotations

from schemas.catalog import MICROS_PER_USD
from schemas.instants import text_of


def usd(micros: int) -> str:
    """49800000 to `USD 49.80`: two decimals, more where the amount needs them."""
    whole, rest = divmod(abs(micros), MICROS_PER_USD)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"USD {'-' if micros < 0 else ''}{whole:,}.{decimals}"


def instant(micros: int) -> str:
    """An instant to the second, e.g. `2026-01-31T09:00:00Z`."""
    return f"{text_of(micros)[:19]}Z"
