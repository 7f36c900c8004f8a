"""One input partition's actor: the protocol of the laws, in order, for any `PartitionMachine`.

For a batch with offsets a..b: (0) it must begin where the state says (law 8): what lies below is a repeat and dropped,
what is missing is read from the broker by position, and what the broker cannot explain stops the process; (1) outputs,
acknowledged; (2) state, acknowledged; (3) the position record; (4) the source offset follows, for lag. Any exception
ends the process: a restart resumes at the last durable position and repeats what it must, which readers drop by origin
(law 3).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.errors import QuarterhourError
from streams.durable.changelog import position_output, recover, state_outputs
from streams.durable.failpoints import FailPoint
from streams.durable.machine import PartitionMachine, RawRecord
from streams.durable.producer import produce
from streams.durable.reader import PartitionReader

log = logging.getLogger("quarterhour.actor")

MAX_BATCH = 2_000
MAX_BACKLOG = 20_000


class PositionError(QuarterhourError):
    """The state's position and what the broker holds contradict each other; going on would lose or repeat events."""


@dataclass(frozen=True, slots=True)
class ActorContext:
    """What an actor needs from its process."""

    bootstrap: str
    topic: str
    changelog: str
    producer: Any
    new_machine: Callable[[int], PartitionMachine]
    committed: Callable[[int], Awaitable[int | None]]
    """The group's committed offset of a partition."""
    is_current: Callable[[int, int], bool]
    """Whether a partition is still ours in a generation (zombie guard)."""
    fail_point: FailPoint


def raw_record(record: Any) -> RawRecord:
    """A client's record as the machines take it."""
    return RawRecord(record.offset, record.timestamp, record.key, record.value, record.headers or ())


class PartitionActor:
    """Feeds one partition's records to its machine, one durable batch at a time."""

    def __init__(self, partition: int, generation: int, context: ActorContext) -> None:
        self.partition = partition
        self.generation = generation
        self.position: int | None = None
        """Next input offset, once everything before it is durable."""
        self.gaps_filled = 0
        self._context = context
        # A record, and whether the broker itself put it behind the one before (same fetch, so no gap between them).
        self._backlog: deque[tuple[RawRecord, bool]] = deque()
        self._arrived = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()

    async def feed(self, records: Sequence[RawRecord]) -> None:
        """Hand over one run of records as fetched; waits while too many are waiting already."""
        self._backlog.extend((record, index > 0) for index, record in enumerate(records))
        self._arrived.set()
        if len(self._backlog) > MAX_BACKLOG:
            self._drained.clear()
            await self._drained.wait()

    async def run(self) -> None:
        """Recover, then process for ever; ends by cancellation or by an exception that must end the process."""
        machine = self._context.new_machine(self.partition)
        self.position = await self._recover(machine)
        while True:
            batch, follows = await self._next_batch()
            if not self._context.is_current(self.partition, self.generation):
                log.info("%s/%d: no longer ours; stopping", self._context.topic, self.partition)
                return
            if batch[0].offset > self.position and not follows:
                await self._fill_gap(machine, batch[0].offset)
            batch = [record for record in batch if record.offset >= self.position]
            if batch:
                await self._process(machine, batch, batch[-1].offset + 1)

    async def _next_batch(self) -> tuple[list[RawRecord], bool]:
        """A run without gaps, and whether the broker put it right behind what was taken before."""
        while not self._backlog:
            self._arrived.clear()
            await self._arrived.wait()
        first, follows = self._backlog.popleft()
        batch = [first]
        while self._backlog and len(batch) < MAX_BATCH:
            record, explained = self._backlog[0]
            if not explained and record.offset != batch[-1].offset + 1:
                break
            batch.append(record)
            self._backlog.popleft()
        if len(self._backlog) <= MAX_BACKLOG // 2:
            self._drained.set()
        return batch, follows

    async def _recover(self, machine: PartitionMachine) -> int:
        """The machine's state from its changelog, and the position it holds (law 8)."""
        context = self._context
        found = await recover(context.bootstrap, context.changelog, self.partition, machine)
        committed = await context.committed(self.partition)
        where = f"{context.topic}/{self.partition}"
        async with PartitionReader(context.bootstrap, context.topic, self.partition) as reader:
            first, end = await reader.beginning(), await reader.end()
        if found.position is None:
            if committed:
                raise PositionError(
                    f"{where}: offset {committed} is committed, but {context.changelog} holds no state for it; "
                    f"restore {context.changelog}, or reset the group to start from the first record"
                )
            log.info("%s: no state yet, starting at offset %d", where, first)
            return first
        if (committed or 0) > found.position or found.position > end:
            raise PositionError(
                f"{where}: the state's position is {found.position}, the committed offset {committed}, the log's end "
                f"{end}; the end of {context.changelog} or of the log is missing"
            )
        log.info("%s: recovered %d state records, resuming at %d", where, found.records, found.position)
        return found.position

    async def _fill_gap(self, machine: PartitionMachine, until: int) -> None:
        """Read what is missing before `until` from the broker; offsets it does not hold are explained by that."""
        context = self._context
        assert self.position is not None
        start = self.position
        count = 0
        async with PartitionReader(context.bootstrap, context.topic, self.partition) as reader:
            async for records in reader.read(start, until):
                for first in range(0, len(records), MAX_BATCH):
                    part = [raw_record(record) for record in records[first : first + MAX_BATCH]]
                    await self._process(machine, part, part[-1].offset + 1)
                    count += len(part)
        self.position = until
        self.gaps_filled += 1
        log.warning("%s/%d: %d..%d was not delivered; read %d records from the broker", context.topic, self.partition,
                    start, until - 1, count)  # fmt: skip

    async def _process(self, machine: PartitionMachine, batch: list[RawRecord], position: int) -> None:
        """Steps 1 to 3 of the protocol for one contiguous run; step 4 follows from `position`."""
        context = self._context
        await produce(context.producer, machine.step(batch))
        context.fail_point.passed("outputs")
        changes = state_outputs(context.changelog, self.partition, position, machine.take_changes())
        await produce(context.producer, changes)
        context.fail_point.passed("state")
        mark = position_output(context.changelog, self.partition, position, machine.checkpoint())
        await produce(context.producer, [mark])
        context.fail_point.passed("position")
        self.position = position
