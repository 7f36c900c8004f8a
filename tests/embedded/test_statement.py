"""Where SQL text is cut, without a server."""

from __future__ import annotations

import pytest

from projections.embedded.statement import first_word, format_clause, insertion, without_end


@pytest.mark.parametrize(
    ("text", "head", "name", "data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,a\n", b"INSERT INTO t ", "CSV", b"1,a\n"),
        (b"insert into t (a, `format x`) format TSV \r\n1", b"insert into t (a, `format x`) ", "TSV", b"1"),
        (b"INSERT INTO t VALUES (1)", b"INSERT INTO t ", "Values", b" (1)"),
        (
            b"INSERT INTO t SETTINGS a = 'FORMAT X' FORMAT Native\n\x00\xff",
            b"INSERT INTO t SETTINGS a = 'FORMAT X' ",
            "Native",
            b"\x00\xff",
        ),
        (
            b"/* VALUES */ INSERT INTO t -- FORMAT X\n FORMAT CSV",
            b"/* VALUES */ INSERT INTO t -- FORMAT X\n ",
            "CSV",
            b"",
        ),
        (b"INSERT INTO FUNCTION f('SELECT') FORMAT CSV\n\n", b"INSERT INTO FUNCTION f('SELECT') ", "CSV", b"\n"),
        (b"INSERT INTO t", b"INSERT INTO t", "", b""),
    ],
)
def test_an_insert_is_cut_before_its_format_and_at_its_data(text: bytes, head: bytes, name: str, data: bytes) -> None:
    cut = insertion(text)
    assert cut is not None
    assert (cut.head, cut.format, text[cut.data_start :]) == (head, name, data)


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT 1 FORMAT CSV",
        b"INSERT INTO t SELECT 1 FORMAT CSV",
        b"INSERT INTO t (SELECT 1)",
        b"INSERT INTO t (a) WITH 1 AS x SELECT x",
        b"INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        b"WITH 1 AS x INSERT INTO t SELECT x",
        b"",
    ],
)
def test_what_brings_its_own_rows_is_no_insert_with_data(text: bytes) -> None:
    assert insertion(text) is None


def test_the_last_top_level_format_clause_counts() -> None:
    assert format_clause(b"SELECT (SELECT 1 FORMAT A) FORMAT B SETTINGS x = 1") == (27, "B")
    assert format_clause(b"SELECT 'FORMAT A', \"FORMAT B\" -- FORMAT C") is None


def test_comments_and_semicolons_at_the_end_are_dropped_and_brackets_at_the_start_are_skipped() -> None:
    assert without_end(b"SELECT ';' ; -- end\n ;") == b"SELECT ';'"
    assert first_word(b"/* x */ ((select 1))") == "SELECT"
    assert first_word(b"1 + 1") == ""
