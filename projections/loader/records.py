"""What the loader reads: records of topic partitions, and the source they come from (Kafka, or a fake in tests)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from schemas.errors import QuarterhourError


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Record(Struct, frozen=True, gc=False):
    """One record as the broker has it; `append_ms` is its timestamp in milliseconds UTC (the append time, U6)."""

    topic: str
    partition: int
    offset: int
    append_ms: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Run(NamedTuple):
    """Records of one partition, one after the other; never none."""

    place: TopicPartition
    records: Sequence[Record]


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

    async def read(self, wanted: Slice) -> Sequence[Record]:
        """Exactly the records of a slice, for a batch whose boundaries are already fixed."""

    async def start(self, positions: Mapping[TopicPartition, int | None]) -> None:
        """From here on `fetch` gives what follows these offsets (None: from the beginning)."""

    async def fetch(self, max_records: int, timeout_seconds: float) -> Sequence[Run]:
        """Some records that come next, about `max_records` at most; empty when there were none within the time."""
