"""Rebuild (L5): load everything again from the topics, beside the live tables; compare; swap.

A second database `<live>_rebuild` is loaded by LOADER's own core up to the live positions, compared table by table, and
its tables take the live ones' places (`EXCHANGE TABLES`, atomic for each table). Its partitions are loaded in lanes,
side by side by reader processes (`rebuilding`). A rebuild that was cut off goes on where it was, because LOADER does.
Readers are served all the time; LOADER stands still from the last records to the swap. Both databases then stand at the
same positions, so even a swap that is cut off midway leaves consistent tables.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from clickhouse_connect.driver.client import Client

from projections import checksums
from projections.checksums import TableComparison
from projections.connect import beside as database_beside
from projections.connect import connect, ensure_database
from projections.loader.collecting import collecting_seldom
from projections.loader.hold import Hold
from projections.loader.journal import Journal, Lane
from projections.loader.loading import LoadPolicy
from projections.loader.records import Source, TopicPartition
from projections.loader.resume import is_unfinished, resume_positions
from projections.migrate import migrate
from projections.positions import loaded_offsets
from projections.rebuilding.lanes import lanes_of
from projections.rebuilding.limited import LaneLoader
from projections.rebuilding.readers import Crew, Readers
from schemas.errors import QuarterhourError

SUFFIX = "_rebuild"
POLICY = LoadPolicy(enough_records=60_000, most_records=80_000, linger_seconds=0.2)
"""Larger batches than in daily use: nobody waits for them to become visible."""
_IDLE_SECONDS = 2.0
_KEPT = ("schema_migrations", "loaders", "load_batches", "reconciliations")
"""Not swapped: the live loader's epochs and boundaries go on, and an unfinished batch is finished in the new tables."""


class RebuildFault(QuarterhourError):
    """The rebuild cannot go on; the live tables are as they were."""


class Swap(StrEnum):
    """When the rebuilt tables take the live ones' places. `ALWAYS` is for live tables that are known to be wrong."""

    IF_SAME = "if-same"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rebuild is: `stage` is `loading`, `comparing` or `swapping`, counted in records or tables."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did. `rows` and `loading_seconds` are of this run only, if it went on with an earlier one."""

    records: int
    rows: int
    loading_seconds: float
    comparisons: tuple[TableComparison, ...]
    swapped: bool

    @property
    def is_same(self) -> bool:
        """Whether every table held the same before the swap."""
        return all(comparison.is_same for comparison in self.comparisons)


Tell = Callable[[Progress], None]


async def rebuild(
    url: str,
    source: Source,
    *,
    swap: Swap = Swap.IF_SAME,
    policy: LoadPolicy = POLICY,
    tell: Tell = lambda _: None,
    readers: Readers | None = None,
) -> Rebuilt:
    """Rebuild the database of `url` from a started source; with `readers`, processes of their own read the same topics
    as long as there is much to load. Raises RebuildFault, LoaderFault, SourceFault.

    Afterwards the database beside is gone, unless tables differed and were not swapped: then it stays to be looked at.
    """
    beside_url = database_beside(url, SUFFIX)
    await asyncio.to_thread(ensure_database, beside_url)
    live, beside = await asyncio.to_thread(connect, url), await asyncio.to_thread(connect, beside_url)
    crew: Crew | None = None
    try:
        await asyncio.to_thread(migrate, live)
        if readers is not None:
            crew = await readers.called(sum((await asyncio.to_thread(_live_positions, live)).values()))
        await asyncio.to_thread(migrate, beside)
        with collecting_seldom():
            return await _Rebuild(live, beside, beside_url, source, swap, policy, tell, crew).run()
    finally:
        if crew is not None:
            await crew.end()
        live.close()
        beside.close()


def drop_beside(url: str) -> None:
    """Throw a rebuild away, so that the next one begins anew."""
    client = connect(url)
    try:
        _drop(client)
    finally:
        client.close()


class _Rebuild:
    def __init__(
        self,
        live: Client,
        beside: Client,
        beside_url: str,
        source: Source,
        swap: Swap,
        policy: LoadPolicy,
        tell: Tell,
        crew: Crew | None,
    ) -> None:
        self.live, self.beside, self.beside_url, self.source = live, beside, beside_url, source
        self.swap, self.policy, self.tell, self.crew = swap, policy, tell, crew
        self.records = 0

    async def run(self) -> Rebuilt:
        rows_before, started = await asyncio.to_thread(_rows, self.beside), time.monotonic()
        await self._load(await asyncio.to_thread(_live_positions, self.live))
        seconds = time.monotonic() - started
        rows = await asyncio.to_thread(_rows, self.beside) - rows_before
        if self.swap is Swap.NEVER:
            compared = await self._compare(await asyncio.to_thread(_positions, self.beside))
            return Rebuilt(self.records, rows, seconds, compared, False)
        hold = await asyncio.to_thread(Hold.take, self.live)
        renewing = asyncio.create_task(_renew(hold))
        try:
            await self._until_idle()
            ends = await asyncio.to_thread(_live_positions, self.live)
            await self._load(ends)
            compared = await self._compare(ends)
            swapped = self.swap is Swap.ALWAYS or all(comparison.is_same for comparison in compared)
            if swapped:
                await asyncio.to_thread(self._exchange, hold)
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])
            if await asyncio.to_thread(hold.is_newest):
                await asyncio.to_thread(hold.release)
        if swapped:
            await asyncio.to_thread(_drop, self.live)
        return Rebuilt(self.records, rows, seconds, compared, swapped)

    async def _load(self, ends: Mapping[TopicPartition, int]) -> None:
        """Bring the database beside exactly to these positions: many records by readers, else here, lane by lane."""
        reached = await asyncio.to_thread(_positions, self.beside)
        left = sum(max(end - reached.get(place, 0), 0) for place, end in ends.items())
        if left:
            lanes = await asyncio.to_thread(lanes_of, self.beside, await self.source.partitions(), ends)
            self.records += await self._load_lanes(lanes, ends, left)
            reached = await asyncio.to_thread(_positions, self.beside)
        beyond = [place for place, offset in reached.items() if offset > ends.get(place, 0)]
        if beyond:
            raise RebuildFault(f"the rebuild is ahead of the live tables at {beyond[0]}: drop it and begin anew")

    async def _load_lanes(self, lanes: Sequence[Lane], ends: Mapping[TopicPartition, int], left: int) -> int:
        told: dict[int, tuple[int, int]] = {}

        def tell(lane: int, done: int, total: int) -> None:
            told[lane] = (done, total)
            self.tell(Progress("loading", sum(one[0] for one in told.values()), sum(ends.values())))

        if self.crew is not None and self.crew.is_for(left):
            return await self.crew.load(self.beside_url, lanes, ends, self.policy, tell)
        records = 0
        for lane in lanes:
            loader = LaneLoader(self.beside, self.source, lane, ends, self.policy, partial(tell, lane.number))
            await loader.start()
            await loader.run()
            records += loader.records_loaded
        return records

    async def _until_idle(self) -> None:
        """Wait until the batch LOADER had in hand when it was stopped is finished, or was given up."""
        quiet_since = time.monotonic()
        while True:
            newest = Journal(self.live).newest()
            positions = resume_positions(self.live, newest)
            if newest is None or not is_unfinished(newest, positions):
                return
            if _inserts(self.live):
                quiet_since = time.monotonic()
            if time.monotonic() - quiet_since > _IDLE_SECONDS:
                return
            await asyncio.sleep(0.1)

    async def _compare(self, ends: Mapping[TopicPartition, int]) -> tuple[TableComparison, ...]:
        found = []
        names = checksums.names()
        for done, name in enumerate(names):
            self.tell(Progress("comparing", done, len(names)))
            found.append(await asyncio.to_thread(checksums.compare, self.live, self.beside, name, ends))
        self.tell(Progress("comparing", len(names), len(names)))
        return tuple(found)

    def _exchange(self, hold: Hold) -> None:
        query = (
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' "
            "AND NOT has({kept:Array(String)}, name) ORDER BY name"
        )
        found = self.live.query(query, parameters={"kept": list(_KEPT)}).result_rows
        for done, (name,) in enumerate(found):
            if not hold.is_newest():
                raise RebuildFault("a loader began before the swap was over: the hold was not renewed in time")
            self.tell(Progress("swapping", done, len(found)))
            here, there = f"`{self.live.database}`.`{name}`", f"`{self.beside.database}`.`{name}`"
            self.live.command(f"EXCHANGE TABLES {here} AND {there}")
        self.tell(Progress("swapping", len(found), len(found)))


async def _renew(hold: Hold) -> None:
    """Keep the hold for as long as comparing takes."""
    while True:
        await asyncio.to_thread(hold.renew)
        await asyncio.sleep(1)


def _positions(client: Client) -> dict[TopicPartition, int]:
    return {TopicPartition(*place): offset for place, offset in loaded_offsets(client).items()}


def _live_positions(client: Client) -> dict[TopicPartition, int]:
    return resume_positions(client, Journal(client).newest())


def _rows(client: Client) -> int:
    query = (
        "SELECT sum(total_rows) FROM system.tables WHERE database = currentDatabase() AND name IN {names:Array(String)}"
    )
    return int(client.query(query, parameters={"names": checksums.names()}).first_row[0] or 0)


def _inserts(client: Client) -> int:
    """How many inserts run in the server now."""
    query = "SELECT count() FROM system.processes WHERE lower(query) LIKE 'insert into %'"
    return int(client.query(query).first_row[0])


def _drop(live: Client) -> None:
    live.command(f"DROP DATABASE IF EXISTS `{live.database}{SUFFIX}` SYNC")
