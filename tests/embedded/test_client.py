"""The unchanged clickhouse-connect, pandas and pyarrow against the embedded server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import clickhouse_connect
import pandas as pd
import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.embedded.conftest import Served

_AT = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


def test_the_handshake_tells_version_time_zone_and_own_database(client: Any) -> None:
    assert client.server_version.startswith("26.")
    assert str(client.server_tz) == "UTC"
    assert client.command("SELECT currentDatabase()") == "quarterhour"
    assert client.command("SELECT engine FROM system.databases WHERE name = 'quarterhour'") == "Atomic"
    assert client.ping()


def test_rows_inserted_as_lists_are_read_back_equal(client: Any, table: str) -> None:
    rows = [(1, _AT, "a"), (2, _AT, "ä\t\n\\'"), (2**64 - 1, _AT, "")]
    summary = client.insert(table, rows, column_names=["id", "at", "note"])
    assert summary.written_rows == 3
    answer = client.query(f"SELECT id, toUnixTimestamp64Micro(at), note FROM {table} ORDER BY id")
    micros = int(_AT.timestamp()) * 1_000_000 + _AT.microsecond
    assert answer.result_rows == [(row[0], micros, row[2]) for row in rows]
    assert int(answer.summary["read_rows"]) == 3


def test_a_timestamp_keeps_its_microseconds_and_its_zone(client: Any, table: str) -> None:
    client.insert(table, [(1, _AT, "")], column_names=["id", "at", "note"])
    aware = client.query(f"SELECT at FROM {table}", column_tzs={"at": "UTC"}, tz_mode="aware").result_rows[0][0]
    assert aware == _AT
    assert aware.tzinfo is not None


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_every_compression_works_in_both_directions(served: Served, table: str, compress: bool | str) -> None:
    with served.client(compress=compress) as client:
        client.insert(table, [(number, _AT, "x" * 50) for number in range(20_000)], column_names=["id", "at", "note"])
        assert len(client.query(f"SELECT * FROM {table}").result_rows) == 20_000
        assert client.command(f"SELECT sum(id) FROM {table}") == sum(range(20_000))


def test_pandas_frames_go_in_and_out(client: Any, table: str) -> None:
    frame = pd.DataFrame({"id": [1, 2], "at": pd.to_datetime([_AT, _AT]), "note": ["a", "b"]})
    client.insert_df(table, frame)
    back = client.query_df(f"SELECT id, note FROM {table} ORDER BY id")
    assert back["id"].tolist() == [1, 2]
    assert back["note"].tolist() == ["a", "b"]


def test_arrow_tables_go_in_and_out(client: Any, table: str) -> None:
    arrow = pa.table({"id": pa.array([7, 8], pa.uint64()), "note": ["a", "b"]})
    client.insert_arrow(table, arrow)
    back = client.query_arrow(f"SELECT id, note FROM {table} ORDER BY id", use_strings=True)
    assert back.to_pydict() == {"id": [7, 8], "note": ["a", "b"]}


def test_streams_deliver_every_block(client: Any) -> None:
    query = "SELECT number FROM numbers(500000)"
    with client.query_row_block_stream(query) as blocks:
        assert sum(len(block) for block in blocks) == 500_000
    with client.query_df_stream(query) as frames:
        assert sum(int(frame["number"].sum()) for frame in frames) == sum(range(500_000))
    with client.raw_stream(query, fmt="CSV") as stream:
        assert stream.read().count(b"\n") == 500_000


async def test_the_async_client_runs_queries_side_by_side(served: Served, table: str) -> None:
    client = await clickhouse_connect.get_async_client(
        host="127.0.0.1", port=served.port, autogenerate_session_id=False
    )
    async with client:
        await client.insert(table, [(1, _AT, "a")], column_names=["id", "at", "note"])
        answers = await asyncio.gather(*(client.query(f"SELECT {n} + count() FROM {table}") for n in range(20)))
        assert [answer.result_rows[0][0] for answer in answers] == list(range(1, 21))


def test_commands_create_and_drop(client: Any) -> None:
    client.command("CREATE TABLE brief (a UInt8) ENGINE = MergeTree ORDER BY a")
    assert client.command("EXISTS brief") == 1
    client.command("DROP TABLE brief")
    assert client.command("EXISTS brief") == 0


def test_parameters_are_bound_by_the_engine_with_their_types(client: Any, table: str) -> None:
    text = "tab\tquote'back\\slash\nend"
    parameters = {"text": text, "list": ["a'b", "c"], "number": 5, "table": table}
    answer = client.query(
        "SELECT {text:String}, {list:Array(String)}, {number:UInt8} + count() FROM {table:Identifier}", parameters
    )
    assert answer.result_rows == [(text, ["a'b", "c"], 5)]


def test_a_setting_of_one_query_does_not_reach_the_next(client: Any) -> None:
    assert client.command("SELECT getSetting('max_block_size')", settings={"max_block_size": 1234}) == 1234
    assert client.command("SELECT getSetting('max_block_size')") != 1234


def test_a_session_keeps_temporary_tables_and_no_other_session_sees_them(served: Served) -> None:
    with served.client(session_id="one") as one, served.client(session_id="two") as two:
        one.command("CREATE TEMPORARY TABLE scratch (a UInt8)")
        one.insert("scratch", [(1,), (2,)], column_names=["a"])
        one.command("SET max_block_size = 4321")
        assert one.command("SELECT count() FROM scratch") == 2
        assert one.command("SELECT getSetting('max_block_size')") == 4321
        assert two.command("SELECT getSetting('max_block_size')") != 4321
        with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
            two.command("SELECT count() FROM scratch")


def test_an_error_carries_clickhouses_code_and_name(client: Any) -> None:
    with pytest.raises(DatabaseError, match=r"UNKNOWN_TABLE") as failure:
        client.query("SELECT * FROM nowhere")
    assert failure.value.code == 60


def test_an_error_after_the_first_mebibyte_is_not_taken_for_the_end(client: Any) -> None:
    query = "SELECT number, throwIf(number = 3000000, 'too far') FROM numbers(10000000)"
    with pytest.raises(Exception, match="too far"), client.query_row_block_stream(query) as blocks:
        for _ in blocks:
            pass


def test_a_whole_query_that_fails_late_fails_as_a_whole(client: Any) -> None:
    with pytest.raises(DatabaseError, match="too far"):
        client.query("SELECT number, throwIf(number = 3000000, 'too far') FROM numbers(10000000)")
