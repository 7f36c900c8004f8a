"""ClickHouse's HTTP interface, spoken by hand and by curl."""

from __future__ import annotations

import gzip
import http.client
import json
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import clickhouse_connect
import lz4.frame
import pytest
import zstandard

from tests.embedded.conftest import Served
from tests.embedded.wire import ask, curl, runs


def test_ping_and_the_bare_address_answer_ok(served: Served) -> None:
    assert ask(f"{served.url}/ping", method="GET").body == b"Ok.\n"
    assert ask(served.url, method="GET").body == b"Ok.\n"


def test_curl_queries_by_url_and_inserts_by_body(served: Served, table: str) -> None:
    insert = curl(f"{served.url}/?query=INSERT+INTO+{table}+(id,note)+FORMAT+CSV", "--data-binary", "@-", data=b"1,a\n")
    assert (insert.returncode, insert.stdout) == (0, b"")
    assert curl(f"{served.url}/?query=SELECT+id,note+FROM+{table}").stdout == b"1\ta\n"
    assert curl(served.url, "-d", f"SELECT count() FROM {table} FORMAT JSONEachRow").stdout == b'{"count()":1}\n'


def test_an_insert_may_carry_its_data_behind_the_statement(served: Served, table: str) -> None:
    assert ask(served.url, f"INSERT INTO {table} (id, note) FORMAT TSV\n1\ta\n2\tb;c\n").status == 200
    assert ask(served.url, f"INSERT INTO {table} (id, note) VALUES (3, 'x;'), (4, '--')").status == 200
    reply = ask(served.url, b"(5,'y')", query=f"INSERT INTO {table} (id, note) VALUES")
    assert json.loads(reply.headers["x-clickhouse-summary"])["written_rows"] == "1"
    assert ask(served.url, f"INSERT INTO {table} (id, note) SELECT 6, 'z'").status == 200
    assert ask(served.url, f"SELECT groupArray(note) FROM (SELECT * FROM {table} ORDER BY id)").text == (
        "['a','b;c','x;','--','y','z']\n"
    )


def test_the_headers_a_client_reads_are_there(served: Served) -> None:
    reply = ask(served.url, "SELECT 1 FORMAT JSON", query_id="mine", session_timezone="Europe/Berlin")
    assert reply.headers["x-clickhouse-query-id"] == "mine"
    assert reply.headers["x-clickhouse-format"] == "JSON"
    assert reply.headers["x-clickhouse-timezone"] == "Europe/Berlin"
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.headers["x-clickhouse-server-display-name"]
    assert json.loads(reply.headers["x-clickhouse-summary"])["result_rows"] == "1"


def test_database_and_default_format_come_from_url_or_header(served: Served) -> None:
    assert ask(served.url, "SELECT currentDatabase()", database="system").text == "system\n"
    assert ask(served.url, "SELECT currentDatabase()", headers={"X-ClickHouse-Database": "system"}).text == "system\n"
    assert ask(served.url, "SELECT 1 AS a", default_format="JSONEachRow").text == '{"a":1}\n'
    assert ask(served.url, "SELECT 1 AS a; -- done", headers={"X-ClickHouse-Format": "CSVWithNames"}).text == '"a"\n1\n'


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 AS a SETTINGS max_threads = 1 FORMAT CSV",
        "SELECT 1 AS a FORMAT CSV SETTINGS max_threads = 1",
        "WITH 1 AS a SELECT a /* FORMAT JSON */ FORMAT CSV -- FORMAT XML",
        "(SELECT 1 AS a) FORMAT CSV;",
        "SELECT 1 AS format FORMAT CSV",
        "SELECT length(' FORMAT JSON ') > 0 AS a FORMAT CSV",
        "SELECT count() FROM (SELECT formatRow('CSV', 1)) FORMAT CSV",
        "SELECT 1 UNION ALL SELECT 1 LIMIT 0 FORMAT CSV",
    ],
)
def test_the_format_clause_is_found_wherever_it_stands(served: Served, statement: str) -> None:
    reply = ask(served.url, statement)
    assert (reply.status, reply.text) == (200, "1\n")
    assert reply.headers["x-clickhouse-format"] == "CSV"


def test_show_describe_explain_and_exists_answer_too(served: Served, table: str) -> None:
    assert f"{table}\n" in ask(served.url, "SHOW TABLES").text
    assert ask(served.url, f"DESCRIBE {table}").text.startswith("id\tUInt64")
    assert "Output: id" in ask(served.url, f"EXPLAIN SELECT * FROM {table}").text
    assert ask(served.url, f"EXISTS {table} FORMAT JSONCompactEachRow").text == "[1]\n"


@pytest.mark.parametrize(
    ("statement", "status", "code"),
    [
        ("SELECT nope", 404, "47"),
        ("SELECT * FROM nope", 404, "60"),
        ("SELECT nope(1)", 404, "46"),
        ("SELEKT 1", 400, "62"),
        ("", 400, "62"),
        ("SELECT 1 FORMAT Nope", 404, "73"),
        ("SELECT toUInt8('x')", 400, "6"),
        ("SELECT throwIf(1)", 500, "395"),
        ("SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')", 403, "497"),
        ("INSERT INTO nope FORMAT CSV\n1\n", 404, "60"),
        ("DROP TABLE nope", 404, "60"),
    ],
)
def test_errors_have_clickhouses_status_code_and_text(served: Served, statement: str, status: int, code: str) -> None:
    reply = ask(served.url, statement)
    assert (reply.status, reply.headers["x-clickhouse-exception-code"]) == (status, code)
    assert reply.text.startswith(f"Code: {code}. DB::Exception: ")


def test_unknown_settings_databases_and_formats_are_errors(served: Served) -> None:
    assert ask(served.url, "SELECT 1", max_block_siz=1).headers["x-clickhouse-exception-code"] == "115"
    assert ask(served.url, "SELECT 1", database="nope").status == 404
    assert ask(served.url, "SELECT 1", default_format="Nope").status == 404
    assert ask(f"{served.url}/?x%20y=1", "SELECT 1").status == 404


def test_malformed_data_are_refused_and_nothing_is_written(served: Served, table: str) -> None:
    reply = ask(served.url, "1,a\nnot a number,b\n", query=f"INSERT INTO {table} (id, note) FORMAT CSV")
    assert reply.status == 400
    assert ask(served.url, f"SELECT count() FROM {table}").text == "0\n"


def test_get_reads_only(served: Served, table: str) -> None:
    assert ask(served.url, method="GET", query=f"SELECT count() FROM {table}").text == "0\n"
    for method in ("GET", "HEAD"):
        reply = ask(served.url, method=method, query=f"DROP TABLE {table}")
        assert (reply.status, reply.headers["x-clickhouse-exception-code"]) == (500, "164")
    assert ask(served.url, f"EXISTS {table}").text == "1\n"


def test_a_session_serves_one_request_at_a_time(served: Served) -> None:
    for rows in (10, 40, 160):  # longer if this process was held up until the first had ended
        query = f"SELECT sum(sleepEachRow(0.1)) AS busy FROM numbers({rows}) SETTINGS max_block_size = 1"
        with ThreadPoolExecutor(1) as thread:
            slow = thread.submit(ask, served.url, query, session_id="busy")
            assert runs(served.url, "busy", 1)
            second = ask(served.url, "SELECT 1", session_id="busy")
            assert slow.result().status == 200
        if second.status != 200:
            break
    assert second.headers["x-clickhouse-exception-code"] == "373"
    assert ask(served.url, "SELECT 1", session_id="busy").status == 200


def test_an_idle_session_ends_after_its_time_out(served: Served) -> None:
    assert ask(served.url, "SELECT 1", session_id="brief", session_timeout=1).status == 200
    time.sleep(1.2)
    reply = ask(served.url, "SELECT 1", session_id="brief", session_check=1)
    assert reply.headers["x-clickhouse-exception-code"] == "372"


def test_settings_and_database_of_a_url_leave_a_session_as_it_was(served: Served) -> None:
    ask(served.url, "SET max_block_size = 55", session_id="tidy")
    query = "SELECT getSetting('max_block_size'), currentDatabase()"
    assert ask(served.url, query, session_id="tidy", max_block_size=66, database="system").text == "66\tsystem\n"
    assert ask(served.url, query, session_id="tidy").text == "55\tquarterhour\n"


def test_answers_on_a_kept_connection_come_at_once(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
    seconds = []
    for _ in range(60):
        began = time.perf_counter()
        connection.request("POST", "/", "SELECT 1")
        connection.getresponse().read()
        seconds.append(time.perf_counter() - began)
    connection.close()
    # The least, as anything may hold up the others. A connection's first acknowledgements are never delayed.
    assert min(seconds[30:]) < 0.040, "40 ms would be a delayed acknowledgement"


def test_a_refreshable_view_lives_in_the_own_database(served: Served) -> None:
    create = "CREATE MATERIALIZED VIEW fresh REFRESH EVERY 1 HOUR ENGINE = MergeTree ORDER BY a AS SELECT 7 AS a"
    for statement in (create, "SYSTEM REFRESH VIEW fresh", "SYSTEM WAIT VIEW fresh"):
        assert ask(served.url, statement).status == 200
    assert ask(served.url, "SELECT a FROM fresh").text == "7\n"
    assert ask(served.url, "DROP VIEW fresh SYNC").status == 200


def test_a_session_must_exist_where_it_is_checked(served: Served) -> None:
    reply = ask(served.url, "SELECT 1", session_id="unheard", session_check="1")
    assert reply.headers["x-clickhouse-exception-code"] == "372"
    assert ask(served.url, "USE system", session_id="kept").status == 200
    assert ask(served.url, "SELECT currentDatabase()", session_id="kept", session_check="1").text == "system\n"
    assert ask(served.url, "SELECT currentDatabase()").text == "quarterhour\n"
    assert ask(served.url, "SELECT 1", session_id="kept", session_timeout="99999").status == 400


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "lz4", "zstd"])
def test_answers_and_bodies_are_compressed_as_asked(served: Served, table: str, encoding: str) -> None:
    pack = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "lz4": lz4.frame.compress,
        "zstd": zstandard.ZstdCompressor().compress,
    }
    unpack = {
        "gzip": gzip.decompress,
        "deflate": zlib.decompress,
        "lz4": lz4.frame.decompress,
        "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    }
    rows = "".join(f"{number},note\n" for number in range(1000)).encode()
    body = pack[encoding](rows[:5000]) + pack[encoding](rows[5000:])
    headers = {"Content-Encoding": encoding}
    assert ask(served.url, body, headers=headers, query=f"INSERT INTO {table} (id, note) FORMAT CSV").status == 200
    reply = ask(served.url, f"SELECT count() FROM {table}", headers={"Accept-Encoding": encoding})
    assert reply.headers["content-encoding"] == encoding
    assert unpack[encoding](reply.body) == b"1000\n"
    long = ask(served.url, "SELECT number FROM numbers(1000000)", headers={"Accept-Encoding": encoding})
    assert unpack[encoding](long.body).count(b"\n") == 1_000_000


def test_a_statement_and_its_parameters_may_come_as_a_form(served: Served) -> None:
    """So clickhouse-connect sends parameters of more than 4,096 bytes, such as a long id in Chinese."""
    long = "\u6f22" * 2_000
    with clickhouse_connect.get_client(dsn=served.url, autogenerate_session_id=False) as client:
        found = client.query("SELECT {a:String}, {b:String}", parameters={"a": long, "b": "it's \\n"}).first_row
    assert tuple(found) == (long, "it's \\n")

    def form(url: str, *arguments: str) -> bytes:
        return curl(url, *(part for argument in arguments for part in ("--form-string", argument))).stdout

    assert form(f"{served.url}/?query=SELECT+%7Bx:Int8%7D", "param_x=7") == b"7\n"
    refused = form(served.readonly_url, "query=SELECT length({f:Identifier}) FROM (SELECT 1 AS x)", "param_f=file")
    assert b"The function file() reaches outside the database" in refused
    assert b"READONLY" in form(served.readonly_url, "query=CREATE TABLE t (a Int8) ENGINE = Memory")
    assert b"One statement a request" in form(served.url, "query=SELECT 1; SELECT 2")
    assert b"NOT_IMPLEMENTED" in curl(served.url, "-F", "query=SELECT 1", "-F", "t=@-;filename=t", data=b"1").stdout


def test_a_damaged_body_and_an_unknown_encoding_are_refused(served: Served) -> None:
    assert ask(served.url, b"not gzip", headers={"Content-Encoding": "gzip"}).status == 400
    assert ask(served.url, b"x", headers={"Content-Encoding": "br"}).status == 501
    assert ask(served.url, "SELECT 1", compress="1").status == 501
    assert ask(served.url, b"x", headers={"Content-Type": "multipart/form-data; boundary=x"}).status == 501


def test_an_early_error_keeps_its_status_and_a_late_one_breaks_the_answer_off(served: Served) -> None:
    early = ask(served.url, "SELECT throwIf(number = 30000, 'too far') FROM numbers(1000000)")
    assert early.status == 500
    late = curl("-i", served.url, "-d", "SELECT throwIf(number = 9000000, 'too far') FROM numbers(10000000)")
    assert late.returncode == 18, "curl: transfer closed with outstanding read data remaining"
    assert late.stdout.startswith(b"HTTP/1.1 200 OK")
    tag = next(line for line in late.stdout.splitlines() if line.startswith(b"X-ClickHouse-Exception-Tag")).split()[1]
    assert late.stdout.endswith(b" %b\r\n__exception__\r\n" % tag)
    assert b"too far" in late.stdout[-1000:]


def test_waiting_for_the_end_gives_a_late_error_its_status(served: Served) -> None:
    query = "SELECT throwIf(number = 9000000, 'too far') FROM numbers(10000000)"
    assert ask(served.url, query, wait_end_of_query=1).status == 500
    assert len(ask(served.url, "SELECT number FROM numbers(1000000)", wait_end_of_query=1).body) == 6_888_890


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE t; nonsense(",
        "INSERT INTO t VALUES (1); DROP TABLE t",
        "SELECT 1 INTO OUTFILE '/tmp/never'",
        "SELECT 1 INTO/**/OUTFILE '/tmp/never' TRUNCATE FORMAT CSV",
        "KILL QUERY WHERE 0 INTO OUTFILE '/tmp/never'",
        "INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV",
        "BACKUP DATABASE quarterhour TO File('/tmp/never')",
        "CREATE TABLE f (a String) ENGINE = File(CSV, '/tmp/never')",
        "CREATE TABLE f (a String) ENGINE = URL('http://127.0.0.1:1/', CSV)",
        "COPY t TO '/tmp/never'",
        "SYSTEM SHUTDOWN",
    ],
)
def test_what_reaches_for_files_or_hides_a_second_statement_is_refused(served: Served, statement: str) -> None:
    reply = ask(served.url, statement)
    assert reply.status in (400, 403, 501), reply.text
    assert "x-clickhouse-exception-code" in reply.headers
    assert served.process.poll() is None
