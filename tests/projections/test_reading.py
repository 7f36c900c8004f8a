"""Trends, balances as of an instant and explanations on the funded world, whose figures are worked out by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.client import Client

from projections.balance import Basis, balance_as_of
from projections.connect import connect, ensure_database
from projections.explain import explain_entry, explain_event, explain_unit
from projections.migrate import migrate
from projections.ranges import Days, Grain, RangeRefused
from projections.reconcile import reconcile
from projections.trends import Filter, TrendPoint, trend
from schemas.instants import datetime_of
from scripts.explaining import NothingKnown, explain
from tests.projections.funded_world import APRIL_1, FUNDS, HALF, LAPSE, funded_world
from tests.projections.loading import load_all
from tests.projections.small_world import DAY, EVE, FEBRUARY, GIVEN, PRICE

UTC = ZoneInfo("UTC")
APRIL = Days(date(2026, 4, 1), date(2026, 4, 6), UTC)


@pytest.fixture(scope="module")
def funded(clickhouse_server: str) -> Iterator[Client]:
    """A database that holds the funded world; read only."""
    ensure_database(f"{clickhouse_server}/funded")
    client = connect(f"{clickhouse_server}/funded")
    migrate(client)
    asyncio.run(load_all(client, funded_world().log))
    yield client
    client.command("DROP DATABASE funded SYNC")
    client.close()


def points(found: list[TrendPoint]) -> list[tuple[object, ...]]:
    return [(str(p.period), p.units, p.free_units, p.paid_units, p.due_units, p.micros) for p in found if p.units]


def test_the_history_is_consistent(funded: Client) -> None:
    """L1, L2, L6: but for the charge that was taken back for no reason, credit that no command brought, and credit that
    lapses though no clock has told its time."""
    assert reconcile(funded).counts == {"charges": 1, "charged micros": 1, "grants": 3, "lapsed before its time": 1}


def test_t1_t2_billed_units_by_day_and_by_the_credit_that_paid(funded: Client) -> None:
    found = trend(funded, "acme", APRIL)
    assert [str(p.period) for p in found] == [f"2026-04-0{n}" for n in range(1, 7)]
    assert points(found) == [
        ("2026-04-01", 1, 0, 0, 1, PRICE), ("2026-04-03", 1, 1, 0, 0, PRICE), ("2026-04-05", 1, 0, 1, 0, PRICE),
    ]  # fmt: skip
    split = found[2]
    assert (split.free_micros, split.paid_micros, split.due_micros) == (HALF, HALF, 0)
    assert found[3] == TrendPoint(date(2026, 4, 4), "", "", "", 0, 0, 0, 0, 0, 0, 0, 0)  # charged, and taken back


def test_t2_days_are_those_of_the_readers_zone(funded: Client) -> None:
    tokyo = Days(APRIL.first, APRIL.last, ZoneInfo("Asia/Tokyo"))
    assert [p[0] for p in points(trend(funded, "acme", tokyo))] == ["2026-04-02", "2026-04-04", "2026-04-06"]
    kathmandu = Days(date(2026, 4, 6), date(2026, 4, 6), ZoneInfo("Asia/Kathmandu"))  # +05:45
    assert [p[0] for p in points(trend(funded, "acme", kathmandu))] == ["2026-04-06"]


def test_t3_t4_by_month_and_week(funded: Client) -> None:
    days = Days(date(2025, 12, 1), date(2026, 4, 30), UTC)
    months = points(trend(funded, "acme", days, Grain.MONTH))
    assert [(m[0], m[1]) for m in months] == [("2025-12-01", 1), ("2026-02-01", 1), ("2026-04-01", 3)]
    weeks = points(trend(funded, "acme", days, Grain.WEEK))
    assert [(w[0], w[1]) for w in weeks] == [
        ("2025-12-29", 1), ("2026-02-09", 1), ("2026-03-30", 3),
    ]  # fmt: skip


def test_t1_split_by_app_unit_and_channel(funded: Client) -> None:
    found = trend(funded, "acme", APRIL, Grain.MONTH, ("app", "unit", "channel"))
    assert [(p.app, p.unit, p.channel, p.units) for p in found] == [
        ("bot", "conversation", "web", 2), ("helper", "conversation", "whatsapp", 1),
    ]  # fmt: skip
    only = trend(funded, "acme", APRIL, Grain.MONTH, only=Filter(app="helper"))
    assert [(p.app, p.units) for p in only] == [("", 1)]
    with pytest.raises(RangeRefused, match="T1"):
        trend(funded, "acme", APRIL, by=("user",))


def test_another_workspace_has_nothing(funded: Client) -> None:
    assert points(trend(funded, "other", APRIL)) == []
    assert balance_as_of(funded, "other", datetime_of(APRIL_1)).sequence == 0


@pytest.mark.parametrize(
    ("time_us", "free", "shared", "apps", "due"),
    [
        (EVE - DAY - 1, 0, 0, 0, 0),
        (EVE - DAY, GIVEN, 0, 0, 0),
        (EVE, GIVEN - PRICE, 0, 0, 0),
        (FEBRUARY, GIVEN - 2 * PRICE, 0, 0, 0),
        (LAPSE, 0, 0, 0, 0),
        (APRIL_1, 0, 0, 0, PRICE),
        (APRIL_1 + DAY, HALF, FUNDS - PRICE, FUNDS, 0),
        (APRIL_1 + 2 * DAY, 0, FUNDS - PRICE - HALF, FUNDS, 0),
        (APRIL_1 + 3 * DAY, 0, FUNDS - PRICE - HALF, FUNDS, 0),
        (APRIL_1 + 9 * DAY, 0, FUNDS - PRICE - HALF, FUNDS - PRICE, 0),
    ],
)
def test_l4_the_balance_as_of_any_instant(
    funded: Client, time_us: int, free: int, shared: int, apps: int, due: int
) -> None:
    found = balance_as_of(funded, "acme", datetime_of(time_us))
    assert (found.free_micros, found.paid_shared_micros, found.paid_apps_micros, found.due_micros) == (
        free, shared, apps, due,
    )  # fmt: skip


def test_l4_by_record_the_newest_record_of_the_instant_speaks(funded: Client) -> None:
    now = balance_as_of(funded, "acme", datetime(2030, 1, 1, tzinfo=UTC), Basis.RECORD)
    effect = balance_as_of(funded, "acme", datetime(2030, 1, 1, tzinfo=UTC))
    assert now.sequence == effect.sequence == 12
    assert (now.free_micros, now.paid_shared_micros, now.paid_apps_micros, now.due_micros) == (
        effect.free_micros, effect.paid_shared_micros, effect.paid_apps_micros, effect.due_micros,
    )  # fmt: skip
    before = balance_as_of(funded, "acme", datetime(2020, 1, 1, tzinfo=UTC), Basis.RECORD)
    assert before.sequence == 0


def test_l7_from_a_ledger_record_to_the_events_that_made_it(funded: Client) -> None:
    entry = explain_entry(funded, "acme", 2)
    assert entry is not None
    assert [(line.account, line.amount_micros) for line in entry.lines] == [
        ("usage:conversation", PRICE), ("grant:acme/welcome", -PRICE),
    ]  # fmt: skip
    assert entry.intact is True
    (unit,) = entry.units
    assert [event.id for event in unit.events] == ["a1", "a2", "a3"]  # the repeat counts once
    assert unit.why == "Charged once, in ledger record 2, by plan standard (P1)."
    assert explain_entry(funded, "acme", 99) is None


def test_l7_a_reversal_shows_the_unit_it_takes_back(funded: Client) -> None:
    entry = explain_entry(funded, "acme", 12)
    assert entry is not None
    assert [(c.sequence, c.sign) for c in entry.units[0].charges] == [(10, 1), (12, -1)]
    assert entry.units[0].why == "Its charge was taken back in ledger record 12 (C8)."


@pytest.mark.parametrize(
    ("event_id", "outcome", "why"),
    [
        ("a3", "billed", "Charged once, in ledger record 2"),
        ("b1", "counted", "the end user said nothing"),
        ("b2", "human_agent", "U12"),
        ("d1", "counted", "developer traffic is counted apart"),
        ("l1", "late", "U6"),
        ("f1", "rejected", "refused"),
        ("q3", "counted", "taken back"),
        ("n1", "billed", "ledger record 3"),
    ],
)
def test_l7_from_an_event_to_its_charge_or_to_why_there_is_none(
    funded: Client, event_id: str, outcome: str, why: str
) -> None:
    (found,) = explain_event(funded, event_id, "acme")
    assert found.outcome == outcome
    assert why in found.why


def test_l7_a_repeat_names_the_first(funded: Client) -> None:
    first, again = explain_event(funded, "a2", "acme", "/gateways/test")
    assert (first.outcome, again.outcome) == ("billed", "repeated")
    assert f"offset {first.event.offset}" in again.why
    assert explain_event(funded, "a2", "other") == []


def test_l7_an_id_of_many_digits_is_an_events_and_no_number_of_a_record(funded: Client) -> None:
    with pytest.raises(NothingKnown, match="has no ledger record, unit or event '18446744073709551619'"):
        explain(funded, "acme", str(2**64 + 3))  # which ClickHouse takes for 3
    assert explain(funded, "acme", "3")[0].startswith("ledger record 3 of acme")


def test_l7_a_session_holds_its_own_events_only(funded: Client) -> None:
    """U14: the conversation has two sessions."""
    (found,) = explain_event(funded, "a3", "acme")
    session = found.units[-1]
    assert (session.unit.kind, [event.id for event in session.events]) == ("session", ["a3"])
    assert session.unit.conversation_id == found.units[0].unit.unit_id
    assert "bills no session" in session.why
    assert explain_unit(funded, session.unit.unit_id, "other") is None


def test_u14_sessions_are_numbered_within_their_conversation(funded: Client) -> None:
    query = (
        "SELECT number, count() FROM conversation_sessions WHERE conversation_id != '' GROUP BY number ORDER BY number"
    )
    assert funded.query(query).result_rows == [(1, 6), (2, 1)]


def test_views_for_analysts_agree_with_the_balances(funded: Client) -> None:
    """L1, T1."""
    newest = funded.query(
        "SELECT free_micros, paid_shared_micros + paid_apps_micros, due_micros FROM accounts"
    ).first_row
    daily = funded.query("SELECT free_micros, paid_micros, due_micros FROM balances_daily ORDER BY day DESC").first_row
    assert newest == daily == (0, 2 * FUNDS - 2 * PRICE - HALF, 0)
    grants = funded.query("SELECT sum(given_micros), sum(used_micros), sum(lapsed_micros), sum(moved_micros) "
                          "FROM grant_statistics").first_row  # fmt: skip
    assert grants == (GIVEN + 2 * FUNDS + HALF, 5 * PRICE, GIVEN - 2 * PRICE, 0)
    billed = funded.query("SELECT paid_from, sum(units), sum(micros) FROM billed_monthly GROUP BY 1 ORDER BY 1")
    assert billed.result_rows == [("due", 1, PRICE), ("free", 3, 2 * PRICE + HALF), ("paid", 1, PRICE + HALF)]
    apps = funded.query("SELECT app, billed_units, charged_micros FROM apps ORDER BY app").result_rows
    assert apps == [("bot", 4, 4 * PRICE), ("helper", 1, PRICE)]
    assert funded.query("SELECT sum(units) FROM usage_monthly WHERE kind = 'conversation'").first_row == (8,)


def test_t6_freshness_is_told_per_topic(funded: Client) -> None:
    topics = {row[0] for row in funded.query("SELECT topic, p50_ms, p99_ms FROM freshness").result_rows}
    assert {"interactions", "ledger", "account.inbox"} <= topics
    slow = funded.query("SELECT min(milliseconds), count() FROM event_to_ledger").first_row
    assert slow[0] > timedelta(days=1) / timedelta(milliseconds=1)
