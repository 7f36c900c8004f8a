"""Ranges of trends: defaults, limits, and a refusal that names the rule (T2-T4, T7)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.ranges import Days, Grain, RangeRefused, chosen, daily, monthly, start_of, weekly, zone_named
from projections.trends import begins_of

ZONE = ZoneInfo("UTC")
TODAY = date(2026, 3, 3)


def test_t2_the_default_is_the_seven_days_up_to_yesterday() -> None:
    assert daily(TODAY, ZONE) == Days(date(2026, 2, 24), date(2026, 3, 2), ZONE)


def test_t2_ninety_days_are_taken_and_ninety_one_refused() -> None:
    first = date(2026, 1, 1)
    assert daily(TODAY, ZONE, first, first + timedelta(days=89)).count == 90
    with pytest.raises(RangeRefused, match=r"91 days; a custom range has at most 90 .*T2"):
        daily(TODAY, ZONE, first, first + timedelta(days=90))


@pytest.mark.parametrize(("months", "first"), [(None, 2), (1, 2), (2, 1)])
def test_t3_whole_months_up_to_the_previous_one(months: int | None, first: int) -> None:
    assert monthly(TODAY, ZONE, months) == Days(date(2026, first, 1), date(2026, 2, 28), ZONE)


def test_t3_three_months_reach_into_the_year_before() -> None:
    assert monthly(TODAY, ZONE, 3).first == date(2025, 12, 1)


@pytest.mark.parametrize("months", [0, 4, -1])
def test_t3_other_numbers_of_months_are_refused(months: int) -> None:
    with pytest.raises(RangeRefused, match="T3"):
        monthly(TODAY, ZONE, months)


def test_t3_a_year_is_taken_and_a_day_more_refused() -> None:
    first = date(2025, 1, 1)
    assert monthly(TODAY, ZONE, None, first, first + timedelta(days=364)).count == 365
    with pytest.raises(RangeRefused, match="at most 365"):
        monthly(TODAY, ZONE, None, first, first + timedelta(days=365))
    with pytest.raises(RangeRefused, match="either"):
        monthly(TODAY, ZONE, 2, first, first)


def test_t4_weeks_begin_on_monday_and_the_default_is_four_whole_ones() -> None:
    days = weekly(TODAY, ZONE)
    assert (days.first, days.last) == (date(2026, 2, 2), date(2026, 3, 1))
    assert [d.isoformat() for d in days.periods(Grain.WEEK)] == ["2026-02-02", "2026-02-09", "2026-02-16", "2026-02-23"]


@pytest.mark.parametrize(("first", "last"), [(TODAY, None), (None, TODAY), (TODAY, TODAY - timedelta(days=1))])
def test_t7_half_a_range_or_one_turned_round_is_refused(first: date | None, last: date | None) -> None:
    for make in (daily, weekly):
        with pytest.raises(RangeRefused, match=r"T[24]"):
            make(TODAY, ZONE, first, last)


def test_today_is_the_readers() -> None:
    now = datetime(2026, 3, 3, 20, tzinfo=UTC)
    assert chosen(Grain.DAY, now, zone_named("Asia/Tokyo")).last == date(2026, 3, 3)
    assert chosen(Grain.DAY, now, ZONE).last == date(2026, 3, 2)
    with pytest.raises(RangeRefused, match="not by week"):
        chosen(Grain.WEEK, now, ZONE, months=1)


def test_a_day_of_the_clock_change_has_23_hours() -> None:
    begin, end = Days(date(2026, 3, 29), date(2026, 3, 29), ZoneInfo("Europe/Berlin")).bounds()
    assert end - begin == timedelta(hours=23)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", ""])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(RangeRefused, match="IANA"):
        zone_named(name)


ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe",
    "Pacific/Chatham", "Africa/Cairo", "America/Havana", "America/Sao_Paulo", "Pacific/Kiritimati",
)  # fmt: skip


@given(
    st.sampled_from(ZONES), st.dates(date(2012, 1, 1), date(2035, 1, 1)), st.integers(0, 364), st.sampled_from(Grain),
    st.floats(0, 1, exclude_max=True),
)  # fmt: skip
def test_every_quarter_of_an_hour_belongs_to_the_period_of_its_local_day(
    zone: str, first: date, more: int, grain: Grain, place: float
) -> None:
    """T2-T4: in any zone, across any change of its clocks, midnight's included."""
    days = Days(first, first + timedelta(days=more), ZoneInfo(zone))
    begin, end = (int(bound.timestamp()) // 900 for bound in days.bounds())
    periods = days.periods(grain)
    quarter = begin + int((end - begin) * place)
    found = max(pair for pair in zip(begins_of(days, periods), periods, strict=True) if pair[0] <= quarter)
    local = datetime.fromtimestamp(quarter * 900, days.zone).date()
    assert found[1] == start_of(local, grain)


def test_a_day_that_a_zone_left_out_has_nothing() -> None:
    days = Days(date(2011, 12, 29), date(2011, 12, 31), ZoneInfo("Pacific/Apia"))
    before, left_out, after = begins_of(days, days.periods(Grain.DAY))
    assert (left_out - before, after - left_out) == (96, 0)
