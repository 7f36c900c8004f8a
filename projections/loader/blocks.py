"""The rows of one batch, table by table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from projections.loader import tables
from projections.loader.marks import Marks
from projections.loader.records import Appends, Record, TopicPartition
from schemas.errors import InvalidRecord, excerpt

_INT64 = 1 << 63


class Blocks:
    """Rows collected per table, in the order of their records; `repeats` counts what the marks dropped (law 3)."""

    def __init__(self, marks: Marks) -> None:
        self.marks = marks
        self.interactions: list[tuple[Any, ...]] = []
        self.rows: dict[str, list[tuple[Any, ...]]] = {tables.INTERACTIONS.name: self.interactions}
        self.repeats: Counter[TopicPartition] = Counter()
        self.appends: dict[TopicPartition, Appends] = {}

    def add(self, table: tables.Table, row: tuple[Any, ...]) -> None:
        """One more row; `InvalidRecord` if a number in it is none that ClickHouse can hold."""
        self.add_all([(table, row)])

    def add_all(self, rows: Sequence[tuple[tables.Table, tuple[Any, ...]]]) -> None:
        """All rows of one record, or none of them and an `InvalidRecord`: a record is never loaded in part."""
        for table, row in rows:
            for value in row:
                if type(value) is int and not -_INT64 <= value < _INT64:
                    detail = "the number does not fit 64 bits"
                    raise InvalidRecord("invalid_field", "", excerpt(value), f"table {table.name}", detail)
        for table, row in rows:
            self.rows.setdefault(table.name, []).append(row)

    def note_appends(self, records: Iterable[Record]) -> None:
        """Remember when the batch's records were appended."""
        times: dict[tuple[str, int], list[int]] = defaultdict(list)
        for record in records:
            times[record[:2]].append(record.append_ms)
        self.appends = {TopicPartition(*place): Appends(len(ms), min(ms), max(ms)) for place, ms in times.items()}

    def count_repeat(self, record: Record) -> None:
        """The record's origin has been loaded before."""
        self.repeats[TopicPartition(record.topic, record.partition)] += 1
