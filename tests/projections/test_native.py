"""Columns written our way are the bytes that clickhouse-connect writes."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import pytest
from clickhouse_connect.datatypes.registry import get_from_name

from projections.loader.native import column_type

NAMES = ["acme", "", "größe", "acme", "n" * 127, "n" * 128, "x" * 20_000]


class Context:
    """What a column type asks of an insert."""

    column_name = "any"
    encoding = None
    column_formats: dict[str, str] = {}  # noqa: RUF012 - as clickhouse-connect has it
    type_formats: dict[str, str] = {}  # noqa: RUF012
    query_formats: dict[str, str] = {}  # noqa: RUF012

    @staticmethod
    def column_format(*_: Any) -> None:
        return None


def written(type_: Any, column: Sequence[Any]) -> bytes:
    dest = bytearray()
    type_.write_column(column, dest, Context())
    return bytes(dest)


@pytest.mark.parametrize("name", ["Int64", "UInt64", "DateTime64(6, 'UTC')", "DateTime64(3, 'UTC')"])
def test_whole_numbers(name: str) -> None:
    numbers = [0, 1, 255, 1 << 40, (1 << 63) - 1] + ([-1, -(1 << 63)] if name == "Int64" else [])
    known = written(get_from_name(name), numbers)
    assert written(column_type(name), array("q", numbers)) == known
    assert written(column_type(name), numbers) == known


@pytest.mark.parametrize("distinct", [1, 2, 255, 256, 257, 300])
def test_names(distinct: int) -> None:
    column = [f"name {number % distinct}" for number in range(1_000)]
    name = "LowCardinality(String)"
    assert written(column_type(name), column) == written(get_from_name(name), column)
    assert written(column_type(name), NAMES) == written(get_from_name(name), NAMES)


@pytest.mark.parametrize("name", ["String", "UInt32", "Nullable(UInt64)", "Bool", "Nullable(DateTime64(6, 'UTC'))"])
def test_all_else_is_left_to_the_library(name: str) -> None:
    column: list[Any] = ["a", "b"] if name == "String" else [1, 0]
    assert written(column_type(name), column) == written(get_from_name(name), column)
    assert type(column_type(name)) is type(get_from_name(name))
