"""A log in memory that the loader reads as it reads Kafka, and builders of records for it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from projections.loader.records import Record, Run, Slice, SourceFault, TopicPartition
from projections.loader.rows import LOADED_TOPICS
from schemas.instants import text_of
from schemas.interactions import MESSAGE, TICK
from schemas.routing import interaction_key, partition_of
from schemas.topics import INTERACTIONS

PARTITIONS = 2
APPEND_MS = 1_700_000_000_000


class Log:
    """Append-only partitions of every loaded topic."""

    def __init__(self, partitions: int = PARTITIONS) -> None:
        self.places = [TopicPartition(topic, p) for topic in LOADED_TOPICS for p in range(partitions)]
        self.records: dict[TopicPartition, list[Record]] = defaultdict(list)

    def append(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        append_ms: int = APPEND_MS,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> int:
        """The offset the record got."""
        records = self.records[TopicPartition(topic, partition)]
        records.append(Record(topic, partition, len(records), append_ms, value, headers))
        return len(records) - 1


class LogSource:
    """A `Source` over a `Log`; `drained` is set when everything in it has been given."""

    def __init__(self, log: Log, most_per_fetch: int = 1_000_000) -> None:
        self._log = log
        self._next: dict[TopicPartition, int] = {}
        self._most_per_fetch = most_per_fetch
        self.drained = asyncio.Event()

    async def partitions(self) -> Sequence[TopicPartition]:
        return self._log.places

    async def read(self, wanted: Slice) -> list[Record]:
        records = self._log.records[TopicPartition(wanted.topic, wanted.partition)][wanted.first : wanted.next]
        if len(records) != wanted.next - wanted.first:
            raise SourceFault(f"{wanted} is not there")
        return records

    async def start(self, positions: Mapping[TopicPartition, int | None]) -> None:
        self._next = {place: offset or 0 for place, offset in positions.items()}

    async def fetch(self, max_records: int, timeout_seconds: float) -> list[Run]:
        found: list[Run] = []
        left = min(max_records, self._most_per_fetch)
        for place in self._next:
            first = self._next[place]
            records = self._log.records[place][first : first + left]
            self._next[place] = first + len(records)
            left -= len(records)
            if records:
                found.append(Run(place, records))
        if all(self._next[place] >= len(self._log.records[place]) for place in self._next):
            self.drained.set()
        await asyncio.sleep(0 if found else timeout_seconds)
        return found


def message(
    time_us: int,
    *,
    id: str,
    workspace: str = "acme",
    app: str = "bot",
    channel: str = "web",
    user: str = "ann",
    direction: str = "inbound",
    actor: str = "app",
    environment: str = "live",
    type: str = MESSAGE,
) -> bytes:
    """An interaction event as a gateway publishes it."""
    data = {
        "workspace": workspace, "app": app, "channel": channel, "user": user, "direction": direction, "actor": actor,
        "environment": environment,
    }  # fmt: skip
    event = {"specversion": "1.0", "id": id, "source": "/gateways/test", "type": type, "time": text_of(time_us)}
    return msgspec.json.encode({**event, "data": data})


def tick(time_us: int, id: str) -> bytes:
    """A clock tick."""
    event = {"specversion": "1.0", "id": id, "source": "/clock", "type": TICK, "time": text_of(time_us)}
    return msgspec.json.encode(event)


def home_of(user: str, workspace: str = "acme", app: str = "bot", channel: str = "web") -> int:
    """The partition of `interactions` the key belongs to."""
    return partition_of(interaction_key(workspace, app, channel, user), PARTITIONS)


__all__ = ["APPEND_MS", "INTERACTIONS", "PARTITIONS", "Log", "LogSource", "home_of", "message", "tick"]
