"""Which inbox records can be believed: instants a calendar can show, and clocks that do not contradict themselves."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.commands import Command, InboxRecord
from schemas.errors import InvalidRecord
from schemas.instants import micros_of
from schemas.units import Unit

EARLIEST_US = micros_of(datetime(2000, 1, 1, tzinfo=UTC))
LATEST_US = micros_of(datetime(2500, 1, 1, tzinfo=UTC))


def check_instants(fact: InboxRecord) -> None:
    """Raises `InvalidRecord` for an instant outside 2000 to 2500, or a `complete_us` after `now_us` (U6)."""
    if isinstance(fact, Unit):
        _check("start_us", fact.start_us, EARLIEST_US)
    elif isinstance(fact, Command):
        _check("time_us", fact.time_us, EARLIEST_US)
    else:
        _check("now_us", fact.now_us, 0)
        _check("complete_us", fact.complete_us, -LATEST_US)
        if fact.complete_us > fact.now_us:
            detail = "units cannot be complete after the highest time seen"
            raise InvalidRecord("invalid_field", "complete_us", str(fact.complete_us), "not after now_us (U6)", detail)


def implausible(field: str, micros: int) -> str:
    """Why an instant that a command tells of is refused, as a sentence; "" for one from 2000 to 2500 (U6)."""
    if EARLIEST_US <= micros <= LATEST_US:
        return ""
    return f"{field}: {micros} is implausible; it must lie between 2000 and 2500 (U6)."


def _check(field: str, micros: int, earliest_us: int) -> None:
    if not earliest_us <= micros <= LATEST_US:
        rule = "between 2000 and 2500 (U6)"
        raise InvalidRecord("implausible_time", field, str(micros), rule, f"{field} is implausible")
