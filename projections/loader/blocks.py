"""The rows of one batch, table by table."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from projections.loader import tables
from projections.loader.marks import Marks
from projections.loader.records import Appends, Record, TopicPartition, runs
from schemas.errors import InvalidRecord, excerpt

_INT64 = 1 << 63


class Blocks:
    """Rows collected per table, in the order of their records; `repeats` counts what the marks dropped (law 3).

    `checks`: each number is checked when its row is added; else all of them at the end, by `fits`.
    """

    def __init__(self, marks: Marks, *, checks: bool = True) -> None:
        self.marks = marks
        self._checks = checks
        self.rows: dict[str, list[tuple[Any, ...]]] = {table.name: [] for table in tables.TABLES}
        self.interactions = self.rows[tables.INTERACTIONS.name]
        self.repeats: Counter[TopicPartition] = Counter()
        self.appends: dict[TopicPartition, Appends] = {}

    def add(self, table: tables.Table, row: tuple[Any, ...]) -> None:
        """One more row; if `checks`, `InvalidRecord` for a number in it that ClickHouse cannot hold."""
        if self._checks:
            _check(table, row)
        self.rows[table.name].append(row)

    def add_all(self, rows: Sequence[tuple[tables.Table, tuple[Any, ...]]]) -> None:
        """All rows of one record, or none of them and an `InvalidRecord`: a record is never loaded in part."""
        if self._checks:
            for table, row in rows:
                _check(table, row)
        for table, row in rows:
            self.rows[table.name].append(row)

    def fits(self) -> bool:
        """Whether every number is one that ClickHouse can hold: column by column, so cheaper than row by row."""
        return all(_fits(column) for rows in self.rows.values() for column in zip(*rows, strict=True))

    def note_appends(self, records: Iterable[Record]) -> None:
        """Remember when the batch's records were appended."""
        for place, run in runs(records):
            times = [record.append_ms for record in run]
            known = self.appends.get(place, Appends(0, times[0], times[0]))
            self.appends[place] = Appends(
                known.records + len(times), min(known.oldest_ms, *times), max(known.newest_ms, *times)
            )

    def count_repeat(self, record: Record) -> None:
        """The record's origin has been loaded before."""
        self.repeats[TopicPartition(record.topic, record.partition)] += 1


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
