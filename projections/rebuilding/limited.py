"""One lane loaded up to given offsets, by LOADER's own core."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from clickhouse_connect.driver.client import Client

from projections.loader.journal import Lane
from projections.loader.loading import Loader, LoadPolicy
from projections.loader.records import Record, Run, Slice, Source, TopicPartition

Tell = Callable[[int, int], None]
"""Told how many records of the lane are behind it, and of how many."""


class LaneLoader:
    """Loads a lane: `start` finishes the batch that was begun, `run` brings it exactly to `ends`."""

    def __init__(
        self,
        client: Client,
        source: Source,
        lane: Lane,
        ends: Mapping[TopicPartition, int],
        policy: LoadPolicy,
        tell: Tell,
    ) -> None:
        own = {place: end for place, end in ends.items() if place in lane.places}
        self._limited = _Limited(source, own, tell)
        self._loader = Loader(client, self._limited, policy, lane=lane)

    @property
    def records_loaded(self) -> int:
        """Records loaded by this run."""
        return self._loader.records_loaded

    async def start(self) -> None:
        """Place the source, and finish what was begun. Raises LoaderFault, SourceFault."""
        await self._loader.start()

    async def run(self) -> None:
        """Load what is left. Raises LoaderFault, SourceFault."""
        stop = asyncio.Event()
        running = asyncio.create_task(self._loader.run(stop))
        drained = asyncio.create_task(self._limited.drained.wait())
        try:
            await asyncio.wait([running, drained], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            drained.cancel()
            with suppress(asyncio.CancelledError):
                await running


class _Limited:
    """A source that ends at given offsets; `drained` when all below them has been given."""

    def __init__(self, source: Source, ends: Mapping[TopicPartition, int], tell: Tell) -> None:
        self._source, self._ends, self._tell = source, ends, tell
        self._next: dict[TopicPartition, int] = {}
        self.drained = asyncio.Event()

    async def partitions(self) -> Sequence[TopicPartition]:
        return await self._source.partitions()

    async def read(self, wanted: Slice) -> Sequence[Record]:
        return await self._source.read(wanted)

    async def start(self, positions: Mapping[TopicPartition, int | None]) -> None:
        self._next = {place: offset or 0 for place, offset in positions.items()}
        await self._source.start({place: positions[place] for place in positions})
        self._look()

    async def fetch(self, max_records: int, timeout_seconds: float) -> Sequence[Run]:
        if self.drained.is_set():
            await asyncio.sleep(timeout_seconds)
            return []
        found = await self._source.fetch(max_records, timeout_seconds)
        kept: list[Run] = []
        for run in found:
            # A record beyond the end tells that all before it were given, those included that compaction has removed.
            place, last = run.place, run.records[-1].offset
            self._next[place] = last + 1
            end = self._ends.get(place, 0)
            if last >= end:
                run = Run(place, [record for record in run.records if record.offset < end])
            if run.records:
                kept.append(run)
        self._look()
        return kept

    def _look(self) -> None:
        total = sum(self._ends.values())
        left = sum(max(end - self._next.get(place, 0), 0) for place, end in self._ends.items())
        self._tell(total - left, total)
        if not left:
            self.drained.set()
