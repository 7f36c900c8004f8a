"""What makes repeats harmless: batch boundaries that are durable before the data, and positions after it.

Laws it keeps (3, 8): a batch that was begun is finished with exactly its boundaries, whoever finishes it, and its
inserts carry the same tokens. Only the newest batch can be unfinished, because one loader writes one batch at a time;
a loader that has been superseded notices between its boundaries and its data, and stops.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver.client import Client

from projections.loader.hold import wait_while_held
from projections.loader.records import Appends, Slice, TopicPartition
from schemas.errors import QuarterhourError

_NEWEST_BATCH = """
SELECT DISTINCT epoch, batch, topic, partition, first_offset, next_offset, token
FROM {batches:Identifier}
WHERE (epoch, batch) = (SELECT max((epoch, batch)) FROM {batches:Identifier})
ORDER BY topic, partition
"""
_BATCH_COLUMNS = ["epoch", "batch", "topic", "partition", "first_offset", "next_offset", "token"]
_VISIBLE_COLUMNS = [
    "topic", "partition", "first_offset", "next_offset", "records", "oldest_append", "newest_append",
]  # fmt: skip
_POSITION_COLUMNS = ["topic", "partition", "next_offset", "epoch", "batch", "repeats"]


# Rows of the journal may stand there twice: readers take the distinct or the largest ones.
_REPEATABLE = {"async_insert": 0, "insert_deduplicate": 0}


class LoaderFault(QuarterhourError):
    """Loading cannot go on; the message says why. A supervisor may start the loader again."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch by its boundaries: slices of distinct partitions, in order."""

    epoch: int
    number: int
    slices: tuple[Slice, ...]

    @property
    def token(self) -> str:
        """Names the batch by its boundaries alone, so that whoever repeats it has the same."""
        text = "\n".join(f"{s.topic}-{s.partition}-{s.first}-{s.next}" for s in self.slices)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Lane:
    """Partitions that are loaded apart from all others of the database, with boundaries and claims of their own."""

    number: int
    places: frozenset[TopicPartition]


class Journal:
    """The loader's memory in ClickHouse: `loaders`, `load_batches`, `load_positions`; of a lane, the first two are its
    own. Within a lane, or a database without lanes, one loader writes one batch at a time."""

    def __init__(self, client: Client, lane: Lane | None = None) -> None:
        self._client = client
        suffix = "" if lane is None else f"_lane_{lane.number}"
        self._loaders, self._batches = f"loaders{suffix}", f"load_batches{suffix}"
        self._can_be_held = lane is None
        self._types: dict[str, Sequence[Any]] = {}
        self._owner = str(uuid.uuid4())
        self.epoch = 0

    def claim(self) -> None:
        """Become the loader of this database: whoever was it before stops before its next data. Waits for a rebuild."""
        if self._can_be_held:
            wait_while_held(self._client)
        newest = self._client.query(
            "SELECT max(epoch) FROM {loaders:Identifier}", parameters={"loaders": self._loaders}
        ).first_row[0]
        self.epoch = int(newest) + 1
        self._client.insert(self._loaders, [[self.epoch, self._owner]], column_names=["epoch", "owner"])
        self.check_claim()

    def check_claim(self) -> None:
        """`LoaderFault` if another loader has claimed the database since."""
        owners = self._client.query(
            "SELECT owner FROM {loaders:Identifier} WHERE epoch >= {epoch:UInt64}",
            parameters={"loaders": self._loaders, "epoch": self.epoch},
        ).result_rows
        if owners != [(self._owner,)]:
            raise LoaderFault("another loader has taken over this ClickHouse database; there must be one only")

    def newest(self) -> Batch | None:
        """The batch that was begun last; all before it are finished."""
        rows = self._client.query(_NEWEST_BATCH, parameters={"batches": self._batches}).result_rows
        if not rows:
            return None
        batch = Batch(rows[0][0], rows[0][1], tuple(Slice(*row[2:6]) for row in rows))
        if {row[6] for row in rows} != {batch.token}:
            raise LoaderFault(f"{self._batches}: the rows of batch {batch.epoch}/{batch.number} do not fit their token")
        return batch

    def begin(self, batch: Batch) -> None:
        """Make the boundaries durable: one insert, one part, all or nothing. Then see that we are still the loader."""
        rows = [[batch.epoch, batch.number, *piece, batch.token] for piece in batch.slices]
        self._insert(self._batches, rows, _BATCH_COLUMNS)
        self.check_claim()

    def tell_visible(self, batch: Batch, appends: Mapping[TopicPartition, Appends]) -> None:
        """Say since when the batch is visible: after every table has its rows. For metrics, nothing rests on it."""
        places = {TopicPartition(s.topic, s.partition): s for s in batch.slices}
        visible = [[*place, places[place].first, places[place].next, *seen] for place, seen in appends.items()]
        if visible:
            self._insert("load_visible", visible, _VISIBLE_COLUMNS)

    def finish(self, batch: Batch, repeats: Mapping[TopicPartition, int]) -> None:
        """Make the positions durable, after every table has its rows."""
        rows = [
            [
                s.topic,
                s.partition,
                s.next,
                batch.epoch,
                batch.number,
                repeats.get(TopicPartition(s.topic, s.partition), 0),
            ]
            for s in batch.slices
        ]
        self._insert("load_positions", rows, _POSITION_COLUMNS)

    def _insert(self, table: str, rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> None:
        """The table is asked for its types once: before each insert it would be one more wait, three times a batch."""
        if table not in self._types:
            self._types[table] = self._client.create_insert_context(table, columns).column_types
        self._client.insert(table, rows, column_names=columns, column_types=self._types[table], settings=_REPEATABLE)


def slices_of(places: Sequence[tuple[TopicPartition, int, int]]) -> tuple[Slice, ...]:
    """Slices in the order that every repeat has too."""
    return tuple(Slice(place.topic, place.partition, first, next_) for place, first, next_ in sorted(places))
