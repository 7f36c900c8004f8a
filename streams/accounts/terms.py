"""Terms: months and years counted on the calendar from an anchor (P4, P8). A term is `[start, next start)`.

Each start is counted from the anchor itself, so a subscription begun on the 31st renews on the last day of a shorter
month and on the 31st again after it.
"""

from __future__ import annotations

from calendar import monthrange
from functools import lru_cache

from schemas.instants import MICROS_PER_DAY, datetime_of, micros_of

MONTHS = {"monthly": 1, "yearly": 12}
_LONGEST_MONTH_US = 31 * MICROS_PER_DAY


@lru_cache(maxsize=65_536)
def after_months(anchor_us: int, months: int) -> int:
    """The instant so many calendar months after the anchor, on the last day where the month has no such day."""
    anchor = datetime_of(anchor_us)
    years, month = divmod(anchor.month - 1 + months, 12)
    year, month = anchor.year + years, month + 1
    return micros_of(anchor.replace(year=year, month=month, day=min(anchor.day, monthrange(year, month)[1])))


def term_at(anchor_us: int, period: str, at_us: int) -> tuple[int, int]:
    """The term that holds an instant not before the anchor: its start, and the next one's."""
    months = MONTHS[period]
    number = (at_us - anchor_us) // (_LONGEST_MONTH_US * months)
    while after_months(anchor_us, (number + 1) * months) <= at_us:
        number += 1
    return after_months(anchor_us, number * months), after_months(anchor_us, (number + 1) * months)
