"""The read-only door: the same data, reading alone."""

from __future__ import annotations

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import ProgrammingError

from tests.embedded.conftest import Served
from tests.embedded.wire import ask


def test_the_unchanged_client_reads_what_the_other_door_wrote(served: Served, table: str) -> None:
    ask(served.url, f"INSERT INTO {table} (id, note) VALUES (1, 'a')")
    with clickhouse_connect.get_client(host="127.0.0.1", port=served.readonly_port) as reader:
        assert reader.query(f"SELECT id, note FROM {table}").result_rows == [(1, "a")]
        assert reader.query_df(f"SELECT count() AS n FROM {table}")["n"].tolist() == [1]
        with pytest.raises(ProgrammingError, match="readonly"):
            reader.query("SELECT 1", settings={"max_threads": 1})
        assert reader.command(f"EXISTS {table}") == 1


@pytest.mark.parametrize(
    "statement", ["SHOW TABLES", "DESCRIBE system.one", "EXPLAIN SELECT 1", "WITH 1 AS a SELECT a"]
)
def test_every_kind_of_reading_is_taken(served: Served, statement: str) -> None:
    reply = ask(served.readonly_url, statement)
    assert reply.status == 200
    assert reply.body


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO system.one VALUES (1)",
        "INSERT INTO FUNCTION null('a UInt8') SELECT 1",
        "CREATE TABLE a (a UInt8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE a (a UInt8)",
        "DROP DATABASE quarterhour",
        "SET readonly = 0",
        "USE system",
        "KILL QUERY WHERE 1",
        "SYSTEM FLUSH LOGS",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1 SETTINGS max_threads = 1",
        "SELECT 1 INTO OUTFILE '/tmp/never'",
        "SELECT 1; SELECT 2",
        "EXECUTE AS default SELECT 1",
    ],
)
def test_everything_else_is_refused(served: Served, statement: str) -> None:
    for settings in ("", "?readonly=0", "?readonly=2"):
        reply = ask(f"{served.readonly_url}/{settings}", statement)
        assert reply.status in (400, 403, 500, 501)
        assert "x-clickhouse-exception-code" in reply.headers


@pytest.mark.parametrize(
    "expression",
    [
        "* FROM file('/etc/passwd', 'LineAsString')",
        "* FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "* FROM remote('127.0.0.1', system.one)",
        "* FROM sqlite('/tmp/x', 'y')",
        "* FROM executable('id', 'TSV', 'a String')",
        "* FROM Python(frame)",
        "* FROM `python`('frame')",
        "* FROM default.`/etc/passwd`",
        "file('/etc/passwd')",
        "FILE ('/etc/passwd')",
        "`file`('/etc/passwd')",
        "\"file\"/* */('/etc/passwd')",
        "* APPLY(file) FROM (SELECT '/etc/passwd' AS a)",
        "* APPLY file FROM (SELECT '/etc/passwd' AS a)",
        "arrayMap(a -> file(a), ['/etc/passwd'])",
        "‘ ' ’, file('/etc/passwd'), ‘ ' ’",
        "{f:Identifier}('/etc/passwd')",
        "arrayMap(file, ['/etc/passwd'])",
        "arrayMap(`FILE`, ['/etc/passwd'])",
        "arrayMap({f:Identifier}, ['/etc/passwd'])",
        "arrayFold((a, x) -> file(x), ['/etc/passwd'], '')",
        "* FROM (SELECT '/etc/passwd' AS p) WHERE NOT ignore(arrayFilter(file, [p]))",
    ],
)
def test_nothing_outside_the_database_can_be_read(served: Served, expression: str) -> None:
    reply = ask(served.readonly_url, f"SELECT {expression}", param_f="file")
    assert reply.status >= 400
    assert "root:" not in reply.text


def test_the_word_file_in_a_text_or_as_an_alias_is_harmless(served: Served) -> None:
    assert ask(served.readonly_url, "SELECT 'file(x)' AS file FORMAT CSV").text == '"file(x)"\n'
    assert ask(served.readonly_url, "SELECT {f:String}", param_f="file").text == "file\n"


def test_a_session_is_not_kept_and_not_needed(served: Served) -> None:
    assert ask(served.readonly_url, "SELECT 1", session_id="reader").text == "1\n"
    assert ask(served.readonly_url, "SELECT 1", session_id="reader", max_block_size=77).text == "1\n"
    query = "SELECT getSetting('max_block_size') = 77"
    assert ask(served.readonly_url, query, session_id="reader").text == "0\n"


def test_the_dialect_cannot_be_changed(served: Served) -> None:
    assert ask(served.readonly_url, "SELECT 1", dialect="kusto").status == 404
