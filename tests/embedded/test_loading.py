"""What exactly-once loading rests on: deduplication tokens, on the table and on what its views write."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.embedded.conftest import Served
from tests.embedded.wire import ask, runs

_WINDOW = "SETTINGS non_replicated_deduplication_window = 100"
_EXACT = {"deduplicate_blocks_in_dependent_materialized_views": 1}


@pytest.fixture
def ledger(client: Any) -> Iterator[Any]:
    """A source table with a daily view, both with a deduplication window."""
    client.command(f"CREATE TABLE ledger (id UInt64, micros Int64) ENGINE = MergeTree ORDER BY id {_WINDOW}")
    client.command(
        "CREATE TABLE totals (day UInt8, micros SimpleAggregateFunction(sum, Int64))"
        f" ENGINE = AggregatingMergeTree ORDER BY day {_WINDOW}"
    )
    client.command("CREATE MATERIALIZED VIEW ledger_totals TO totals AS SELECT 1 AS day, micros FROM ledger")
    yield client
    for name in ("ledger_totals", "totals", "ledger"):
        client.command(f"DROP TABLE {name} SYNC")


def _insert(client: Any, token: str, rows: list[tuple[int, int]]) -> None:
    client.insert(
        "ledger", rows, column_names=["id", "micros"], settings={"insert_deduplication_token": token, **_EXACT}
    )


def test_a_batch_repeated_under_its_token_counts_once_in_table_and_view(ledger: Any) -> None:
    for _ in range(3):
        _insert(ledger, "ledger-0-1-2", [(1, 10), (2, 20)])
    _insert(ledger, "ledger-0-3-3", [(3, 30)])
    assert ledger.query("SELECT count(), sum(micros) FROM ledger").result_rows == [(3, 60)]
    assert ledger.query("SELECT sum(micros) FROM totals").result_rows == [(60,)]


def test_the_same_rows_under_another_token_are_another_batch(ledger: Any) -> None:
    _insert(ledger, "a", [(1, 10)])
    _insert(ledger, "b", [(1, 10)])
    assert ledger.command("SELECT count() FROM ledger") == 2


def test_a_token_of_one_request_is_not_kept_for_the_next_of_its_session(ledger: Any) -> None:
    _insert(ledger, "once", [(1, 10)])
    ledger.insert("ledger", [(2, 20)], column_names=["id", "micros"], settings=_EXACT)
    assert ledger.command("SELECT getSetting('insert_deduplication_token')") == ""
    assert ledger.command("SELECT count() FROM ledger") == 2


def test_a_batch_of_several_blocks_counts_once(ledger: Any) -> None:
    body = "".join(f"{number}\t1\n" for number in range(200_000)).encode()
    settings = {"insert_deduplication_token": "long", "max_insert_block_size": 50_000, **_EXACT}
    for _ in range(2):
        ledger.raw_insert("ledger", ["id", "micros"], body, settings=settings, fmt="TSV")
    assert ledger.command("SELECT count() FROM ledger") == 200_000
    assert ledger.command("SELECT sum(micros) FROM totals") == 200_000


def test_inserts_pass_while_every_reader_is_busy(served: Served, table: str) -> None:
    def slow_query(rows: int) -> int:
        query = f"SELECT sum(sleepEachRow(0.1)) AS slow FROM numbers({rows}) SETTINGS max_block_size = 1"
        with served.client() as client:
            return int(client.command(query))

    for rows in (15, 60, 240):  # longer if this process was held up until the first had ended
        with ThreadPoolExecutor(24) as threads:
            queries = [threads.submit(slow_query, rows) for _ in range(8)]
            assert runs(served.readonly_url, "slow", 8), "all readers are busy; the other door has its own"
            for inserted in [threads.submit(_raw_insert, served, table) for _ in range(8)]:
                inserted.result(timeout=120)
            overtook = not any(query.done() for query in queries)
            assert [query.result() for query in queries] == [0] * 8
        if overtook:
            break
    assert overtook, "the inserts overtook the queries"


def _raw_insert(served: Served, table: str) -> None:
    assert ask(served.url, "1\n", query=f"INSERT INTO {table} (id) FORMAT TSV").status == 200
