"""The read-only door against readers who mean ill: what could read files, reach out, write, or outlive the request."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.embedded.conftest import Served
from tests.embedded.wire import ask

SECRET = "TOP-SECRET-CONTENT"
OUTSIDE = """
url('http://127.0.0.1:1/x', 'CSV', 'a String') | urlCluster('default', 'http://127.0.0.1:1/', 'CSV', 'a String')
file('{path}', 'LineAsString') | fileCluster('default', '{path}', 'LineAsString') | Python(frame) | python('frame')
s3('http://127.0.0.1:1/b/k', 'CSV') | s3Cluster('c', 'http://127.0.0.1:1/b/k', 'CSV')
gcs('http://127.0.0.1:1/b', 'CSV')
azureBlobStorage('http://127.0.0.1:1', 'c', 'b', 'CSV') | hdfs('hdfs://127.0.0.1:1/x', 'CSV', 'a String')
remote('127.0.0.1:1', 'system', 'one') | remoteSecure('127.0.0.1:1', 'system', 'one')
cluster('default', 'system', 'one')
mysql('127.0.0.1:1', 'd', 't', 'u', 'p') | sqlite('{path}', 't')
postgresql('127.0.0.1:1', 'd', 't', 'u', 'p') | mongodb('127.0.0.1:1', 'd', 't', 'u', 'p', 'a String')
redis('127.0.0.1:1', 'k', 'k String, v String') | jdbc('x', 'y', 'z') | odbc('x', 'y', 'z')
iceberg('http://127.0.0.1:1/') | icebergLocal('{path}') | deltaLake('http://127.0.0.1:1/') | deltaLakeLocal('{path}')
hudi('http://127.0.0.1:1/') | dictionary('x') | ytsaurus('http://127.0.0.1:1', '/p', 'x', 'a String')
arrowFlight('a', 'x')
"""
SOURCES = [source.strip() for line in OUTSIDE.splitlines() for source in line.split(" | ") if source.strip()]
STATEMENTS = """
SELECT 1 INTO OUTFILE '{path}.out' | SELECT 1 INTO OUTFILE '{path}.out' TRUNCATE FORMAT CSV
SELECT 1; SELECT 2 | SELECT 1 /* ; */ ; DROP TABLE t | SELECT 1;;SELECT 2
SELECT 1 SETTINGS readonly = 0 | SELECT 1 SETTINGS max_threads = 77 | SET readonly = 0 | USE system
INSERT INTO t VALUES (1) | INSERT INTO FUNCTION file('{path}.out') SELECT 1 | INSERT INTO t SELECT 1
CREATE TABLE u (a Int8) ENGINE = Memory | CREATE TEMPORARY TABLE u (a Int8) | CREATE VIEW v AS SELECT 1
CREATE FUNCTION f AS x -> file(x) | CREATE DATABASE d | CREATE USER u | CREATE ROLE r | GRANT ALL ON *.* TO default
DROP TABLE t | TRUNCATE TABLE t | ALTER TABLE t DELETE WHERE 1 | DELETE FROM t WHERE 1 | UPDATE t SET a = 1 WHERE 1
OPTIMIZE TABLE t | RENAME TABLE t TO u | EXCHANGE TABLES t AND u | DETACH TABLE t | ATTACH TABLE t | UNDROP TABLE t
KILL QUERY WHERE 1 | SYSTEM SHUTDOWN | SYSTEM RELOAD CONFIG | SYSTEM STOP MERGES | EXECUTE AS default SELECT 1
BACKUP TABLE t TO File('{path}.out') | RESTORE TABLE t FROM File('{path}') | COPY t TO '{path}.out'
PARALLEL WITH DROP TABLE t PARALLEL WITH DROP TABLE u | SELECT catboostEvaluate('{path}', 1)
SELECT LOAD_FILE('{path}') | SELECT * FROM executable('id', 'TabSeparated', 'a String')
SELECT 1 FORMAT Template SETTINGS format_template_resultset = '{path}', format_template_row = '{path}'
SELECT 1 AS a FORMAT Protobuf SETTINGS format_schema = '{path}:x' | SELECT * FROM system.zookeeper WHERE path = '/'
"""
REFUSED = [
    one.strip().replace("\\n", "\n") for line in STATEMENTS.splitlines() for one in line.split(" | ") if one.strip()
]


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secret") / "secret.txt"
    path.write_text(f"{SECRET}\n")
    return path


@pytest.mark.parametrize("source", SOURCES)
def test_no_source_outside_the_database_is_read_or_described(served: Served, secret: Path, source: str) -> None:
    for statement in (
        f"SELECT * FROM {source}", f"DESCRIBE TABLE {source}", f"EXPLAIN SELECT * FROM {source}",
        f"SELECT * FROM view(SELECT * FROM {source})", f"WITH x AS (SELECT * FROM {source}) SELECT count() FROM x",
    ):  # fmt: skip
        reply = ask(served.readonly_url, statement.replace("{path}", str(secret)))
        assert reply.status >= 400, statement
        assert SECRET not in reply.text


@pytest.mark.parametrize("statement", REFUSED)
def test_what_writes_or_changes_anything_is_refused(served: Served, secret: Path, statement: str) -> None:
    reply = ask(served.readonly_url, statement.replace("{path}", str(secret)))
    assert reply.status >= 400
    assert SECRET not in reply.text
    assert list(secret.parent.iterdir()) == [secret]
    assert ask(served.readonly_url, "SELECT 1").text == "1\n"


NAMES = st.sampled_from(
    ["file", "FILE", "File", "`file`", '"file"', "`f\\x69le`", "{f:Identifier}", "\u201cfile\u201d"]
)
BLANKS = st.sampled_from(["", " ", "\n", "/* x */", " -- x\n", "\t/*/* x */*/"])
FORMS = st.sampled_from([
    "{name}{blank}('{path}')", "arrayMap({name}{blank}, ['{path}'])", "arrayMap(x -> {name}{blank}(x), ['{path}'])",
    "* APPLY {name}{blank} FROM (SELECT '{path}' AS p)", "* APPLY({name}{blank}) FROM (SELECT '{path}' AS p)",
    "(SELECT {name}{blank}('{path}'))", "if(1, {name}{blank}('{path}'), '')", "arrayFilter({name}{blank}, ['{path}'])",
    "* FROM {name}{blank}('{path}', 'LineAsString')", "COLUMNS('.*') APPLY {name}{blank} FROM (SELECT '{path}' AS p)",
    "arrayFold((a, x) -> {name}{blank}(x), ['{path}'], '')", "{name}{blank}('{path}') AS file",
    "CAST({name}{blank}('{path}') AS String)", "* REPLACE ({name}{blank}(p) AS p) FROM (SELECT '{path}' AS p)",
])  # fmt: skip


@given(name=NAMES, blank=BLANKS, form=FORMS, explain=st.sampled_from(["", "EXPLAIN ", "EXPLAIN SYNTAX "]))
@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_no_spelling_of_a_file_reading_call_gets_through(
    served: Served, secret: Path, name: str, blank: str, form: str, explain: str
) -> None:
    text = explain + "SELECT " + form.replace("{name}", name).replace("{blank}", blank).replace("{path}", str(secret))
    reply = ask(served.readonly_url, text, param_f="file")
    assert SECRET not in reply.text, text
    assert reply.status >= 400, text
