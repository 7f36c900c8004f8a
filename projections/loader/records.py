"""What the loader reads: records of topic partitions, and the source they come from (Kafka, or a fake in tests)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, Protocol

from schemas.errors import QuarterhourError


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Record(NamedTuple):
    """One record as the broker has it; `append_ms` is its timestamp in milliseconds UTC (the append time, U6)."""

    topic: str
    partition: int
    offset: int
    append_ms: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


def runs(records: Iterable[Record]) -> Iterator[tuple[TopicPartition, list[Record]]]:
    """The records in order, in runs of one partition each: sources give many of one partition after another."""
    for (topic, partition), run in groupby(records, itemgetter(0, 1)):
        yield TopicPartition(topic, partition), list(run)


class Slice(NamedTuple):
    """A run of one partition: offsets from `first` up to but not including `next`."""

    topic: str
    partition: int
    first: int
    next: int


class Appends(NamedTuple):
    """How many records of a partition a batch has, and when the oldest and the newest were appended (ms UTC, T6)."""

    records: int
    oldest_ms: int
    newest_ms: int


class SourceFault(QuarterhourError):
    """The source cannot give what ClickHouse says comes next; the message says which records and why."""


class Source(Protocol):
    """Where records come from. Within a partition they come in offset order, each once."""

    async def partitions(self) -> Sequence[TopicPartition]:
        """Every partition of every loaded topic; `SourceFault` if a topic does not exist."""

    async def read(self, wanted: Slice) -> list[Record]:
        """Exactly the records of a slice, for a batch whose boundaries are already fixed."""

    async def start(self, positions: Mapping[TopicPartition, int | None]) -> None:
        """From here on `fetch` gives what follows these offsets (None: from the beginning)."""

    async def fetch(self, max_records: int, timeout_seconds: float) -> list[Record]:
        """Some records that come next, at most `max_records`; empty when there were none within the time."""
