"""The views with parameters (T1-T5, T7): what they say, what they refuse, and that every reader's tool can ask them."""

from __future__ import annotations

import asyncio
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

import projections
from projections.connect import connect, ensure_database
from projections.migrate import migrate
from projections.ranges import Days, Grain
from projections.trends import trend
from tests.projections.funded_world import FUNDS, funded_world
from tests.projections.loading import load_all
from tests.projections.small_world import PRICE

README = (Path(projections.__file__).with_name("served") / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^(SELECT [^;]+);", README, re.MULTILINE)


@pytest.fixture(scope="module")
def world(clickhouse_server: str) -> Iterator[Client]:
    """The funded world in a database of this module."""
    ensure_database(f"{clickhouse_server}/questions")
    client = connect(f"{clickhouse_server}/questions")
    migrate(client)
    asyncio.run(load_all(client, funded_world().log))
    yield client
    client.command("DROP DATABASE questions SYNC")
    client.close()


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("trend_daily(workspace='acme', first='2026-04-02', last='2026-04-01', zone='UTC')", "T2"),
        ("trend_daily(workspace='acme', first='2026-01-01', last='2026-04-01', zone='UTC')", "at most 90 days (T2)"),
        ("trend_weekly(workspace='acme', first='2025-01-01', last='2026-01-01', zone='UTC')", "365 days (T4)"),
        ("trend_monthly(workspace='acme', first='2025-01-01', last='2026-01-01', zone='UTC')", "365 days (T3)"),
        ("trend_monthly(workspace='nobody', first='2026-04-02', last='2026-04-01', zone='UTC')", "T3"),
        ("trend_last_months(workspace='acme', months=4, zone='UTC')", "1, 2 or 3"),
        ("trend_last_months(workspace='acme', months=0, zone='UTC')", "T3"),
        ("account_credits(workspace='')", "T5"),
        ("ledger_of_period(workspace='acme', first='2025-01-01', last='2026-01-01', zone='UTC')", "365 days (T3)"),
        ("charges_of_period(workspace='acme', first='2026-04-02', last='2026-04-01', zone='UTC')", "T7"),
        ("trend_daily(workspace='acme', first='2026-04-01', last='2026-04-01', zone='Moon')", "Moon"),
    ],
)
def test_t7_a_range_that_breaks_a_rule_is_an_error_that_names_it(world: Client, question: str, says: str) -> None:
    with pytest.raises(DatabaseError, match=re.escape(says)):
        world.query(f"SELECT * FROM {question}")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata", "Pacific/Chatham", "America/St_Johns"])
@pytest.mark.parametrize(("view", "grain"), [("trend_daily", Grain.DAY), ("trend_weekly", Grain.WEEK),
                                             ("trend_monthly", Grain.MONTH)])  # fmt: skip
def test_t1_the_views_and_the_query_api_say_the_same(world: Client, zone: str, view: str, grain: Grain) -> None:
    """Two implementations: one joins in SQL, the other puts rows together in Python."""
    days = Days(date(2026, 2, 1), date(2026, 5, 1), ZoneInfo(zone))
    expected = {
        (point.period, point.app, point.unit, point.channel, paid_from): (units, micros)
        for point in trend(world, "acme", days, grain, ("app", "unit", "channel"))
        for paid_from, units, micros in (
            ("free", point.free_units, point.free_micros), ("paid", point.paid_units, point.paid_micros),
            ("due", point.due_units, point.due_micros),
        ) if units or micros
    }  # fmt: skip
    rows = world.query(
        f"SELECT * FROM {view}(workspace = 'acme', first = '2026-02-01', last = '2026-05-01', zone = {{zone:String}}) "
        "WHERE units != 0 OR micros != 0",
        parameters={"zone": zone},
    ).result_rows
    assert {(row[0], row[1], row[3], row[2], row[4]): (row[5], row[6]) for row in rows} == expected
    assert expected


def test_t3_the_last_whole_months_are_the_readers(world: Client) -> None:
    today = datetime.now(UTC).date()
    query = "SELECT count() FROM trend_last_months(workspace = 'acme', months = 3, zone = 'UTC')"
    recent = date(2026, 4, 1) >= date.fromordinal(today.replace(day=1).toordinal() - 92)
    assert (world.query(query).first_row[0] > 0) == recent


def test_t5_the_credits_of_an_account(world: Client) -> None:
    rows = world.query("SELECT credit, app, sum(remaining_micros) FROM account_credits(workspace='acme') GROUP BY ALL")
    found = {(credit, app): micros for credit, app, micros in rows.result_rows}
    assert found["paid", "helper"] == FUNDS - PRICE
    assert found["due", "bot"] == 0


def test_the_examples_of_the_documentation_work_on_the_read_only_door(world: Client, ports: tuple[int, int]) -> None:
    assert len(EXAMPLES) >= 5
    with clickhouse_connect.get_client(host="127.0.0.1", port=ports[1], database="questions") as reader:
        for example in EXAMPLES:
            assert reader.query(example).row_count > 0, example


def test_curl_reads_a_view_with_parameters_of_the_url(world: Client, ports: tuple[int, int]) -> None:
    query = "SELECT sum(units) FROM trend_daily(workspace={w:String}, first={f:Date}, last={l:Date}, zone='UTC')"
    named = {
        "database": "questions",
        "query": query,
        "param_w": "acme",
        "param_f": "2026-04-01",
        "param_l": "2026-04-30",
    }
    with urllib.request.urlopen(f"http://127.0.0.1:{ports[1]}/?{urllib.parse.urlencode(named)}") as answer:
        assert answer.read() == b"3\n"
    named["param_l"] = "2026-08-30"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{ports[1]}/?{urllib.parse.urlencode(named)}")
    with refused.value as answer:
        assert "T2" in answer.read().decode()


def test_pandas_reads_a_view_by_its_own_tools(world: Client, ports: tuple[int, int]) -> None:
    import pandas

    query = "SELECT * FROM charges_of_period(workspace='acme', first='2026-04-01', last='2026-04-30', zone='UTC')"
    url = f"http://127.0.0.1:{ports[1]}/?" + urllib.parse.urlencode(
        {"database": "questions", "query": f"{query} FORMAT CSVWithNames"}
    )
    frame = pandas.read_csv(url)
    assert frame["micros"].sum() == 3 * PRICE


def test_a_bi_tool_reads_through_sqlalchemy(world: Client, ports: tuple[int, int]) -> None:
    """Superset and others speak to ClickHouse through clickhouse-connect's SQLAlchemy dialect."""
    sqlalchemy = pytest.importorskip("sqlalchemy", reason="SQLAlchemy, which BI tools bring, is not installed")
    engine = sqlalchemy.create_engine(f"clickhousedb://default@127.0.0.1:{ports[1]}/questions")
    with engine.connect() as connection:
        inspector = sqlalchemy.inspect(engine)
        assert "billed_monthly" in {*inspector.get_table_names(), *inspector.get_view_names()}
        usage = sqlalchemy.Table("billed_monthly", sqlalchemy.MetaData(), autoload_with=engine)
        asked = sqlalchemy.select(sqlalchemy.func.sum(usage.c.micros)).where(usage.c.workspace == "acme")
        assert connection.execute(asked).scalar_one() == 5 * PRICE
        whole = "trend_daily(workspace='acme', first='2026-04-01', last='2026-04-30', zone='UTC')"
        total = connection.execute(sqlalchemy.text(f"SELECT sum(units) FROM {whole}"))
        assert total.scalar_one() == 3
