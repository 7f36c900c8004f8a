"""Instants: integer microseconds since 1970-01-01T00:00:00Z, always UTC.

Integers, because rule U1 decides at exactly 15:00.000000 and rule U5 promises the same answer in any order.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

MICROS_PER_SECOND = 1_000_000
MICROS_PER_MINUTE = 60 * MICROS_PER_SECOND
MICROS_PER_HOUR = 60 * MICROS_PER_MINUTE
MICROS_PER_DAY = 24 * MICROS_PER_HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_MICRO = timedelta(microseconds=1)


def micros_of(instant: datetime) -> int:
    """Microseconds since the epoch of an aware datetime; ValueError for a naive one."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone; instants are UTC")
    return (instant - _EPOCH) // _ONE_MICRO


def datetime_of(micros: int) -> datetime:
    """The UTC datetime of microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=micros)


def text_of(micros: int) -> str:
    """RFC 3339 text, e.g. `2026-01-31T09:00:00.000000Z`."""
    return datetime_of(micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def micros_of_text(text: str) -> int:
    """Microseconds of RFC 3339 text, e.g. `2026-01-31T09:00:00Z`; ValueError if it is none or has no time zone."""
    return micros_of(datetime.fromisoformat(text))


def day_of(micros: int) -> int:
    """The UTC day as days since the epoch (rule U5 counts units by the day of their start)."""
    return micros // MICROS_PER_DAY
