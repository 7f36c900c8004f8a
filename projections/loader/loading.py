"""The loader's core: finish what was begun, then gather, fix boundaries, insert, advance; for ever.

Law it keeps: every record at or above a partition's position is loaded once, in order; none below it again.
Leaves to others: where records come from (`Source`), how a batch is made harmless to repeat (`Journal`, `Store`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from clickhouse_connect.driver.client import Client

from projections.loader.arriving import Arrivals, Arriving
from projections.loader.blocks import Rows
from projections.loader.journal import Batch, Journal, Lane, slices_of
from projections.loader.marks import Marks
from projections.loader.metrics import LoadMetrics
from projections.loader.records import Run, Source, SourceFault, TopicPartition
from projections.loader.resume import is_unfinished, resume_positions
from projections.loader.rows import build_rows
from projections.loader.store import Store
from schemas.topics import INTERACTIONS
from schemas.tracing import Tracer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadPolicy:
    """A batch is full at `enough_records`, or `linger_seconds` after its first record; and hardly above `most_records`
    and `most_bytes` of values. While one is written, the next gathers what comes: many records make few batches.
    """

    enough_records: int = 1_000
    most_records: int = 20_000
    most_bytes: int = 64 * 1024 * 1024
    linger_seconds: float = 0.1
    patience_seconds: float = 300.0


class Loader:
    """One loader of one database, or of one lane of it. `start` once, then `run`."""

    def __init__(
        self,
        client: Client,
        source: Source,
        policy: LoadPolicy | None = None,
        metrics: LoadMetrics | None = None,
        tracer: Tracer | None = None,
        lane: Lane | None = None,
    ) -> None:
        self.policy = policy or LoadPolicy()
        self.metrics = metrics or LoadMetrics()
        self.metrics.positions = self._visible_positions
        self.records_loaded = 0
        self._arrivals = Arrivals(tracer) if tracer is not None else None
        self._client = client
        self._source = source
        self._lane = lane
        self._journal = Journal(client, lane)
        self._store = Store(client, self._journal, self.policy.patience_seconds)
        self._positions: dict[TopicPartition, int | None] = {}
        self._visible: dict[TopicPartition, int] = {}
        self._marks = Marks()
        self._interaction_partitions = 0
        self._batches = 0

    async def start(self) -> None:
        """Claim the database, finish the batch that was begun, and place the source after it."""
        partitions = await self._source.partitions()
        self._interaction_partitions = sum(1 for place in partitions if place.topic == INTERACTIONS)
        await asyncio.to_thread(self._journal.claim)
        newest = await asyncio.to_thread(self._journal.newest)
        positions = await asyncio.to_thread(resume_positions, self._client, newest)
        if self._lane is not None:
            partitions = [place for place in partitions if place in self._lane.places]
            positions = {place: positions[place] for place in positions if place in self._lane.places}
        self._positions = {place: positions.get(place) for place in partitions}
        for place in positions:
            if place not in self._positions:
                raise SourceFault(f"{place.topic}-{place.partition} has been loaded before but is not there any more")
        self._marks = await asyncio.to_thread(Marks.read, self._client, positions)
        if newest is not None and is_unfinished(newest, positions):
            await self._finish(newest)
        self._visible = {place: offset for place, offset in self._positions.items() if offset is not None}
        await self._source.start(self._positions)

    async def run(self, stop: asyncio.Event) -> None:
        """Load until `stop`, and finish the batch in hand. `LoaderFault` or `SourceFault` if it cannot."""
        writing: asyncio.Task[None] | None = None
        try:
            while not stop.is_set():
                runs = await self._gather(stop, writing)
                if not runs:
                    continue
                batch, rows = self._batch(runs)
                if writing is not None:
                    await writing
                arriving = (
                    self._arrivals.taken(record for run in runs for record in run.records) if self._arrivals else []
                )
                writing = asyncio.create_task(asyncio.to_thread(self._write, batch, rows, arriving))
        finally:
            if writing is not None:
                await writing

    def _write(self, batch: Batch, rows: Rows, arriving: Sequence[Arriving]) -> None:
        self._store.write(batch, rows)
        self._visible |= {TopicPartition(piece.topic, piece.partition): piece.next for piece in batch.slices}
        self.metrics.visible(rows.appends, rows.repeats)
        if self._arrivals is not None:
            self._arrivals.visible(arriving)

    def _visible_positions(self) -> dict[TopicPartition, int]:
        return dict(self._visible)

    async def _finish(self, batch: Batch) -> None:
        """Load a begun batch again with exactly its boundaries; its tokens drop what is there already."""
        runs: list[Run] = []
        for piece in batch.slices:
            place = TopicPartition(piece.topic, piece.partition)
            if records := await self._source.read(piece):
                runs.append(Run(place, records))
            self._positions[place] = piece.next
        rows = self._rows(runs)
        await asyncio.to_thread(self._store.finish, batch, rows)
        _log.info("finished batch %d/%d", batch.epoch, batch.number)

    async def _gather(self, stop: asyncio.Event, writing: asyncio.Task[None] | None) -> list[Run]:
        """Records of the next batch: enough of them or old enough, and what else comes while the last is written."""
        policy = self.policy
        gathered: list[Run] = []
        count, size, deadline = 0, 0, 0.0
        while not stop.is_set() and count < policy.most_records and size < policy.most_bytes:
            left = deadline - monotonic() if gathered else policy.linger_seconds
            full = bool(gathered) and (left <= 0 or count >= policy.enough_records)
            if full and (writing is None or writing.done()):
                break
            wait = 0.02 if full else min(left, policy.linger_seconds)
            found = await self._source.fetch(policy.most_records - count, max(wait, 0.0))
            if found and not gathered:
                deadline = monotonic() + policy.linger_seconds
            gathered += found
            count += sum(len(run.records) for run in found)
            size += sum(len(record.value or b"") for run in found for record in run.records)
            if writing is not None and writing.done() and not gathered:
                await writing
                break
        return gathered

    def _batch(self, runs: Sequence[Run]) -> tuple[Batch, Rows]:
        first: dict[TopicPartition, int] = {}
        fresh: list[Run] = []
        for place, records in runs:
            position = self._positions[place]
            if position is not None and records[0].offset < position:  # guard by position: the token window is finite
                records = [record for record in records if record.offset >= position]
            if records:
                first.setdefault(place, records[0].offset if position is None else position)
                self._positions[place] = records[-1].offset + 1
                fresh.append(Run(place, records))
        self._batches += 1
        slices = slices_of([(place, offset, self._positions[place] or 0) for place, offset in first.items()])
        return Batch(self._journal.epoch, self._batches, slices), self._rows(fresh)

    def _rows(self, runs: Sequence[Run]) -> Rows:
        self.records_loaded += sum(len(run.records) for run in runs)
        return build_rows(runs, self._marks, self._interaction_partitions)
