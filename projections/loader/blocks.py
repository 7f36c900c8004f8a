"""The rows of one batch, table by table."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from projections.loader import tables
from projections.loader.marks import Marks
from projections.loader.ordinary import ColumnsOfRun, charge_columns
from projections.loader.records import Appends, Record, Run, TopicPartition
from schemas.errors import InvalidRecord, excerpt

Columns = list[list[Any]]
_INT64 = 1 << 63


@dataclass(frozen=True, slots=True)
class Rows:
    """What a batch puts into the tables: columns by table, in the order of `tables`; no table without rows."""

    columns: Mapping[str, Columns]
    repeats: Mapping[TopicPartition, int]
    appends: Mapping[TopicPartition, Appends]


class Blocks:
    """Rows collected per table, run by run; `repeats` counts what the marks dropped (law 3).

    `checks`: each number is checked when its row is added; else all at the end of a run, column by column, which is
    cheaper, and ordinary charges are collected apart, in `charges` (see `ordinary`). `fits` is False once a number was
    found that ClickHouse cannot hold.
    """

    def __init__(self, marks: Marks, *, checks: bool = True) -> None:
        self.marks = marks
        self.checks = checks
        self.fits = True
        self.rows: dict[str, list[tuple[Any, ...]]] = {table.name: [] for table in tables.TABLES}
        self.interactions = self.rows[tables.INTERACTIONS.name]
        self.charges: list[tuple[Any, ...]] = []
        self.repeats: Counter[TopicPartition] = Counter()
        self.appends: dict[TopicPartition, Appends] = {}
        self._columns: dict[str, Columns] = {}

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

    def end_run(self) -> None:
        """Turn the rows of a run into columns, while they are still at hand for the processor."""
        for name, rows in self.rows.items():
            if rows:
                self._extend({name: list(zip(*rows, strict=True))})
                rows.clear()
        if self.charges:
            self._extend(charge_columns(self.charges))
            self.charges.clear()

    def all_rows(self) -> Rows:
        """Everything collected, after the end of its runs."""
        return Rows(self._columns, self.repeats, self.appends)

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

    def _extend(self, found: Mapping[str, ColumnsOfRun]) -> None:
        if not self.checks:  # columns may stand in several tables
            distinct = {id(column): column for columns in found.values() for column in columns}
            self.fits = self.fits and all(map(_fits, distinct.values()))
        for name, columns in found.items():
            held = self._columns.setdefault(name, [[] for _ in columns])
            for values, more in zip(held, columns, strict=True):
                values.extend(more)


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
