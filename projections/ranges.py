"""The ranges of days that trends may ask for (T2-T4), in the reader's time zone; what breaks a rule is refused (T7).

Pure: `today` is an argument. A range is never cut silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from schemas.errors import QuarterhourError, excerpt

DAILY_DEFAULT_DAYS = 7
DAILY_MOST_DAYS = 90
MONTHLY_CHOICES = (1, 2, 3)
MONTHLY_MOST_DAYS = 365
WEEKLY_DEFAULT_WEEKS = 4
"""T4 gives no default for weeks: the last four whole ones, decided here."""


class Grain(StrEnum):
    """How long the periods of a trend are; weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(eq=False)
class RangeRefused(QuarterhourError):
    """A range outside the rules (T7): the `field`, the `value` found, the `rule` it breaks, and what would do."""

    field: str
    value: str
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.field}: {self.detail} (found {self.value!r}; {self.rule})"


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days from `first` to `last`, both included, as the calendar of `zone` has them."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def count(self) -> int:
        """How many days."""
        return (self.last - self.first).days + 1

    def bounds(self) -> tuple[datetime, datetime]:
        """The instants (UTC) at which the first day begins and the last one ends."""
        begin = datetime.combine(self.first, time(), self.zone)
        end = datetime.combine(self.last + timedelta(days=1), time(), self.zone)
        return begin.astimezone(UTC), end.astimezone(UTC)

    def periods(self, grain: Grain) -> list[date]:
        """The first day of every period that the days touch, in order."""
        first, periods = start_of(self.first, grain), []
        while first <= self.last:
            periods.append(first)
            first = start_of(first + timedelta(days={Grain.DAY: 1, Grain.WEEK: 7, Grain.MONTH: 31}[grain]), grain)
        return periods


def start_of(day: date, grain: Grain) -> date:
    """The first day of the period a day belongs to."""
    if grain is Grain.DAY:
        return day
    return day.replace(day=1) if grain is Grain.MONTH else day - timedelta(days=day.weekday())


def zone_named(name: str) -> ZoneInfo:
    """The time zone of an IANA name; `RangeRefused` for any other."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        detail = "not an IANA time zone such as Europe/Berlin"
        raise RangeRefused("zone", excerpt(name), "T2: days are the reader's", detail) from None


def daily(today: date, zone: ZoneInfo, first: date | None = None, last: date | None = None) -> Days:
    """T2: the 7 days up to yesterday, or a custom range of at most 90 days."""
    if first is None and last is None:
        return Days(today - timedelta(days=DAILY_DEFAULT_DAYS), today - timedelta(days=1), zone)
    return _custom(first, last, zone, DAILY_MOST_DAYS, "T2")


def weekly(today: date, zone: ZoneInfo, first: date | None = None, last: date | None = None) -> Days:
    """T4: the last four whole weeks, or a custom range of at most 365 days."""
    if first is None and last is None:
        monday = start_of(today, Grain.WEEK)
        return Days(monday - timedelta(weeks=WEEKLY_DEFAULT_WEEKS), monday - timedelta(days=1), zone)
    return _custom(first, last, zone, MONTHLY_MOST_DAYS, "T4")


def monthly(
    today: date, zone: ZoneInfo, months: int | None = None, first: date | None = None, last: date | None = None
) -> Days:
    """T3: the previous month, the last 1, 2 or 3 whole months, or a custom range of at most 365 days."""
    if first is not None or last is not None:
        if months is not None:
            raise RangeRefused("months", str(months), "T3", "either a number of months or a first and a last day")
        return _custom(first, last, zone, MONTHLY_MOST_DAYS, "T3")
    months = 1 if months is None else months
    if months not in MONTHLY_CHOICES:
        raise RangeRefused("months", str(months), "T3", "1, 2 or 3 months; for more give a first and a last day")
    end = begin = today.replace(day=1)
    for _ in range(months):
        begin = (begin - timedelta(days=1)).replace(day=1)
    return Days(begin, end - timedelta(days=1), zone)


def chosen(
    grain: Grain,
    now: datetime,
    zone: ZoneInfo,
    months: int | None = None,
    first: date | None = None,
    last: date | None = None,
) -> Days:
    """The days of a trend of this grain, at the instant `now`, which must be aware."""
    today = now.astimezone(zone).date()
    if grain is Grain.MONTH:
        return monthly(today, zone, months, first, last)
    if months is not None:
        raise RangeRefused("months", str(months), "T3", f"months are for the monthly trend, not by {grain}")
    return (daily if grain is Grain.DAY else weekly)(today, zone, first, last)


def _custom(first: date | None, last: date | None, zone: ZoneInfo, most: int, rule: str) -> Days:
    if first is None or last is None:
        missing = "first" if first is None else "last"
        raise RangeRefused(missing, "", rule, "a custom range has a first and a last day")
    if not date(1970, 1, 2) <= first <= date(2105, 12, 31):
        raise RangeRefused("first", str(first), rule, "a day between 1970-01-02 and 2105-12-31")
    days = (last - first).days + 1
    if days < 1:
        raise RangeRefused("last", str(last), rule, f"the last day is before the first, {first}")
    if days > most:
        raise RangeRefused("last", f"{first}..{last}", rule, f"{days} days; a custom range has at most {most}")
    return Days(first, last, zone)
