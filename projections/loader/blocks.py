"""The rows of one batch, table by table."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from projections.loader import tables
from projections.loader.marks import Marks
from projections.loader.ordinary import Columns, charge_columns
from projections.loader.records import Appends, Record, Run, TopicPartition
from schemas.errors import InvalidRecord, excerpt

_INT64 = 1 << 63


@dataclass(frozen=True, slots=True)
class Rows:
    """What a batch puts into the tables: columns by table, in the order of `tables`; no table without rows."""

    columns: Mapping[str, Columns]
    repeats: Mapping[TopicPartition, int]
    appends: Mapping[TopicPartition, Appends]


class Blocks:
    """Rows collected per table, in the order of their records; `repeats` counts what the marks dropped (law 3).

    `checks`: each number is checked when its row is added; else all of them at the end, by `fits`, and ordinary charges
    are collected apart, in `charges` (see `ordinary`).
    """

    def __init__(self, marks: Marks, *, checks: bool = True) -> None:
        self.marks = marks
        self.checks = checks
        self.rows: dict[str, list[tuple[Any, ...]]] = {table.name: [] for table in tables.TABLES}
        self.interactions = self.rows[tables.INTERACTIONS.name]
        self.charges: list[tuple[Any, ...]] = []
        self.repeats: Counter[TopicPartition] = Counter()
        self.appends: dict[TopicPartition, Appends] = {}

    def add(self, table: tables.Table, row: tuple[Any, ...]) -> None:
        """One more row; if `checks`, `InvalidRecord` for a number in it that ClickHouse cannot hold."""
        if self.checks:
            _check(table, row)
        self.rows[table.name].append(row)

    def add_all(self, rows: Sequence[tuple[tables.Table, tuple[Any, ...]]]) -> None:
        """All rows of one record, or none of them and an `InvalidRecord`: a record is never loaded in part."""
        if self.checks:
            for table, row in rows:
                _check(table, row)
        for table, row in rows:
            self.rows[table.name].append(row)

    def all_rows(self) -> Rows:
        """Everything collected, column by column."""
        found: dict[str, Columns] = {name: list(zip(*rows, strict=True)) for name, rows in self.rows.items() if rows}
        if self.charges:
            for name, columns in charge_columns(self.charges).items():
                others = found.get(name)
                found[name] = columns if others is None else [a + b for a, b in zip(others, columns, strict=True)]
        return Rows(found, self.repeats, self.appends)

    def note_appends(self, run: Run) -> None:
        """Remember when the batch's records were appended."""
        times = [record.append_ms for record in run.records]
        known = self.appends.get(run.place, Appends(0, times[0], times[0]))
        self.appends[run.place] = Appends(
            known.records + len(times), min(known.oldest_ms, *times), max(known.newest_ms, *times)
        )

    def count_repeat(self, record: Record) -> None:
        """The record's origin has been loaded before."""
        self.repeats[TopicPartition(record.topic, record.partition)] += 1


def fits(rows: Rows) -> bool:
    """Whether every number is one that ClickHouse can hold: column by column, so cheaper than row by row."""
    distinct = {id(column): column for columns in rows.columns.values() for column in columns}
    return all(map(_fits, distinct.values()))


def _check(table: tables.Table, row: tuple[Any, ...]) -> None:
    for value in row:
        if type(value) is int and not -_INT64 <= value < _INT64:
            detail = "the number does not fit 64 bits"
            raise InvalidRecord("invalid_field", "", excerpt(value), f"table {table.name}", detail)


def _fits(column: Sequence[Any]) -> bool:
    if isinstance(column[0], str):
        return True
    try:
        array("q", column)
    except OverflowError:
        return False
    except TypeError:  # numbers and NULLs, or something else
        return all(type(value) is not int or -_INT64 <= value < _INT64 for value in column)
    return True
