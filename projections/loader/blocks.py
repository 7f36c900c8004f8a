"""The rows of one batch, table by table."""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from projections.loader import tables
from projections.loader.marks import Marks
from projections.loader.ordinary import ColumnsOfRun, charge_columns
from projections.loader.records import Appends, Record, Run, TopicPartition
from schemas.errors import InvalidRecord, excerpt

Columns = Sequence[Sequence[Any]]
_INT64 = 1 << 63


@dataclass(frozen=True, slots=True)
class Rows:
    """What a batch puts into the tables: columns by table, in the order of `tables`; no table without rows. A column of
    whole numbers is packed, an `array`; one that stands in several tables may be the same object."""

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
        self._pieces: dict[str, list[list[Sequence[Any]]]] = {}

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
        joined: dict[tuple[int, ...], Sequence[Any]] = {}
        columns: dict[str, list[Sequence[Any]]] = {}
        for name, held in self._pieces.items():
            columns[name] = []
            for pieces in held:
                key = tuple(map(id, pieces))
                if key not in joined:
                    joined[key] = _joined(pieces)
                columns[name].append(joined[key])
        return Rows(columns, self.repeats, self.appends)

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
        packed: dict[int, Sequence[Any]] = {}  # columns may stand in several tables
        for name, columns in found.items():
            held = self._pieces.setdefault(name, [[] for _ in columns])
            for pieces, column in zip(held, columns, strict=True):
                if id(column) not in packed:
                    packed[id(column)] = self._packed(column)
                pieces.append(packed[id(column)])

    def _packed(self, column: Sequence[Any]) -> Sequence[Any]:
        """Whole numbers as ClickHouse holds them, which is also the check that it can; all else as it is."""
        if isinstance(column[0], str):
            return column
        packed = array("q")
        try:
            packed.frombytes(struct.pack(f"{len(column)}q", *column))  # a quarter of what array("q", column) takes
        except struct.error:  # too large, or numbers and NULLs, or something else
            self.fits = self.fits and all(type(value) is not int or -_INT64 <= value < _INT64 for value in column)
            return column
        return packed


def _joined(pieces: Columns) -> Sequence[Any]:
    if len(pieces) == 1:
        return pieces[0]
    if not all(isinstance(piece, array) for piece in pieces):
        return list(chain.from_iterable(pieces))
    whole = array("q")
    for piece in pieces:
        whole.extend(piece)
    return whole


def _check(table: tables.Table, row: tuple[Any, ...]) -> None:
    for value in row:
        if type(value) is int and not -_INT64 <= value < _INT64:
            detail = "the number does not fit 64 bits"
            raise InvalidRecord("invalid_field", "", excerpt(value), f"table {table.name}", detail)
