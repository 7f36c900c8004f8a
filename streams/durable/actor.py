"""One input partition's actor: the protocol of the laws, in order, for any `PartitionMachine`.

For a batch with offsets a..b: (0) it must begin where the state says (law 8): what lies below is a repeat and dropped,
what is missing is read from the broker by position, and what the broker cannot explain stops the process; (1) outputs,
acknowledged; (2) state, acknowledged; (3) the position record; (4) the source offset follows, for lag. Steps 1 to 3 of
several batches overlap (see `flights`). Any exception ends the process: a restart resumes at the last durable position
and repeats what it must, which readers drop by origin (law 3).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from schemas.errors import QuarterhourError
from schemas.kafka import Address
from schemas.tracing import Tracer
from streams.durable.changelog import Recovered, position_output, recover, state_outputs
from streams.durable.failpoints import FailPoint
from streams.durable.flights import MOST_IN_FLIGHT, Batch, Flights
from streams.durable.following import Following
from streams.durable.machine import Output, PartitionMachine, RawRecord
from streams.durable.producer import produce
from streams.durable.reader import PartitionReader

log = logging.getLogger("quarterhour.actor")

MAX_BATCH = 10_000
MAX_BACKLOG = 20_000
MAX_BACKLOG_BYTES = 32 * 1024 * 1024
MAX_DEAF_READS = 20


class PositionError(QuarterhourError):
    """The state's position and what the broker holds contradict each other; going on would lose or repeat events."""


class ConsumerDeaf(QuarterhourError):
    """The group's consumer has stopped delivering; only a new process gets it going again."""


@dataclass(frozen=True)
class ActorContext:
    """What an actor needs from its process."""

    kafka: Address
    topic: str
    changelog: str
    producer: Any
    new_machine: Callable[[int], PartitionMachine]
    committed: Callable[[int], Awaitable[int | None]]
    """The group's committed offset of a partition."""
    is_current: Callable[[int, int], bool]
    """Whether a partition is still ours in a generation (zombie guard)."""
    fail_point: FailPoint
    batch_records: int = MAX_BATCH
    """The most records made durable at once. A batch begins before the one ahead is durable only when it is full:
    waiting for acknowledgements costs no CPU, many small batches do."""
    new_reader: Callable[[Address, str, int], Any] = PartitionReader
    recover: Callable[[Address, str, int, PartitionMachine], Awaitable[Recovered]] = recover
    tracer: Tracer | None = None
    """None: traces are off."""


_value_of = attrgetter("value")


def _bytes_of(records: Iterable[RawRecord]) -> int:
    return sum(map(len, filter(None, map(_value_of, records))))


class PartitionActor:
    """Feeds one partition's records to its machine, one durable batch at a time."""

    def __init__(self, partition: int, generation: int, context: ActorContext) -> None:
        self.partition = partition
        self.generation = generation
        self.position: int | None = None
        """Next input offset, once everything before it is durable."""
        self.gaps_filled = 0
        self.batches = 0
        self.batch_records = 0
        self._context = context
        self._machine: PartitionMachine | None = None
        self._reached = 0  # the next offset the machine takes, once recovered: `position` and what is in flight
        self._following = Following(context.tracer, context.topic, partition) if context.tracer else None
        self._flights = Flights(context.producer, context.fail_point, self._landed)
        self._stopping = False
        self._backlog: deque[Sequence[RawRecord]] = deque()  # runs as the broker put them: no gap within one
        self._begun = False  # the first of them is the rest of a run
        self._backlog_records = 0
        self._backlog_bytes = 0
        self._arrived = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._reader: Any = None
        self._reach = 0  # the log's end, once it is plain that the consumer will not deliver up to it
        self._silence: int | None = None  # the position at which the consumer was first seen silent
        self._deaf_reads = 0

    def outcome_counts(self) -> Mapping[str, int]:
        """What became of the records up to about the position (law 7); nothing while recovering."""
        return self._machine.outcome_counts() if self._machine is not None else {}

    @property
    def resumable(self) -> bool:
        """Whether the state held here is exactly that of `position`, so that a next run needs no recovery."""
        return self._machine is not None and self._reached == self.position

    async def feed(self, records: Sequence[RawRecord]) -> None:
        """Hand over one run of records as fetched; waits while too many are waiting already."""
        if not records or self._stopping or (self._full() and self.position is None):
            return  # read by position later (law 8): a recovery must not hold up the other partitions
        self._silence = None
        self._deaf_reads = 0
        self._backlog.append(records)
        self._backlog_records += len(records)
        self._backlog_bytes += _bytes_of(records)
        self._arrived.set()
        if self._full() and self.position is not None:
            self._drained.clear()
            await self._drained.wait()

    def note_end(self, end: int) -> None:
        """The log's end, told about once a second: seen twice ahead of an idle actor, the rest is read by position.

        Faust drops what it fetched around a rebalance; without a later record nobody would miss it.
        """
        if self.position is None or self._backlog or not self.resumable or end <= self.position:
            self._silence = None
        elif self._silence == self.position:
            self._reach = end
            self._arrived.set()
        else:
            self._silence = self.position

    def stop(self) -> None:
        """End the run at the next batch boundary; what waits is dropped and will be delivered or read again."""
        self._stopping = True
        self._arrived.set()
        self._drained.set()

    def renew(self, generation: int) -> None:
        """Make a stopped, resumable actor ready to run in the generation that directly follows its own."""
        assert self.resumable, "not at a batch boundary"
        assert generation == self.generation + 1, "somebody else may have written since"
        self.generation = generation
        self._stopping = False
        self._reach = 0
        self._silence = None
        self._clear()

    async def run(self) -> None:
        """Recover unless resumed, then process until stopped; an exception must end the process."""
        async with AsyncExitStack() as stack:
            self._reader = None
            if self._machine is None:
                await self._take_up()
            stack.push_async_callback(self._flights.drop)
            while not self._stopping:
                self._flights.reap()
                if not self._ready():
                    self._arrived.clear()
                    await self._arrived.wait()
                elif not self._context.is_current(self.partition, self.generation):
                    log.info("%s/%d: no longer ours; stopping", self._context.topic, self.partition)
                    self.stop()
                else:
                    await self._work(stack)
                    await asyncio.sleep(0)  # let what was begun go out, and what has arrived come in
            await self._flights.empty()
            where = f"{self._context.topic}/{self.partition}"
            log.info("%s: stopped at %s, up to %d batches were in flight", where, self.position, self._flights.most)

    async def _take_up(self) -> None:
        """Recover; a first position is made durable before it is shown."""
        machine = self._context.new_machine(self.partition)
        position, durable = await self._recover(machine)
        self._machine, self._reached = machine, position
        if durable:
            self.position = position
        else:
            await self._advance(position)
            await self._flights.empty()

    def _ready(self) -> bool:
        """Whether there is something to do now."""
        if self._flights and not (self._backlog_records >= self._context.batch_records or self._full()):
            return False
        return len(self._flights) < MOST_IN_FLIGHT and (bool(self._backlog) or self._reach > self._reached)

    async def _work(self, stack: AsyncExitStack) -> None:
        """One batch from the backlog, or what the consumer did not deliver."""
        if not self._backlog:
            await self._read_undelivered(stack, self._reach, self._reach)
            return
        batch, follows = self._next_batch()
        if batch[0].offset > self._reached and not follows:
            # All that waits is read along with it: a publisher's transactions leave a gap after each of their records.
            last = self._backlog[-1][-1] if self._backlog else batch[-1]
            await self._read_undelivered(stack, batch[0].offset, max(batch[-1].offset, last.offset) + 1)
        if batch[0].offset < self._reached:
            batch = [record for record in batch if record.offset >= self._reached]
        if batch:
            await self._process(batch)

    def _full(self) -> bool:
        return self._backlog_records > MAX_BACKLOG or self._backlog_bytes > MAX_BACKLOG_BYTES

    def _clear(self) -> None:
        self._backlog.clear()
        self._begun = False
        self._backlog_records = self._backlog_bytes = 0
        self._drained.set()

    def _next_batch(self) -> tuple[Sequence[RawRecord], bool]:
        """A run without gaps, and whether the broker put it right behind what was taken before."""
        follows, most = self._begun, self._context.batch_records
        batch = self._backlog.popleft()
        if len(batch) < most and self._backlog:
            batch = list(batch)
            while self._backlog and len(batch) < most and self._backlog[0][0].offset == batch[-1].offset + 1:
                batch.extend(self._backlog.popleft())
        self._begun = len(batch) > most
        if self._begun:
            self._backlog.appendleft(batch[most:])
            batch = batch[:most]
        self._backlog_records -= len(batch)
        self._backlog_bytes -= _bytes_of(batch)
        if self._backlog_records <= MAX_BACKLOG // 2 and self._backlog_bytes <= MAX_BACKLOG_BYTES // 2:
            self._drained.set()
        return batch, follows

    async def _recover(self, machine: PartitionMachine) -> tuple[int, bool]:
        """The machine's state from its changelog, the position it holds (law 8), and whether that is durable."""
        context = self._context
        # Asked first: what was committed before is covered by what is read after.
        committed = await context.committed(self.partition)
        found = await context.recover(context.kafka, context.changelog, self.partition, machine)
        async with context.new_reader(context.kafka, context.topic, self.partition) as reader:
            first, end = await reader.beginning(), await reader.end()
        where = f"{context.topic}/{self.partition}"
        if found.position is None:
            if committed:
                raise PositionError(
                    f"{where}: offset {committed} is committed, but {context.changelog} holds no state for it; "
                    f"restore {context.changelog}, or reset the group to start from the first record"
                )
            log.info("%s: no state yet, starting at offset %d", where, first)
            return first, first == 0
        if (committed or 0) > found.position or found.position > end:
            raise PositionError(
                f"{where}: the state's position is {found.position}, the committed offset {committed}, the log's end "
                f"{end}; the end of {context.changelog} or of the log is missing"
            )
        if found.position < first:
            raise PositionError(
                f"{where}: the state's position is {found.position}, but the log begins at {first}; records that were "
                f"never processed are gone: restore them, or reset {context.changelog} and the group to start anew"
            )
        await produce(context.producer, found.overtaken)
        log.info("%s: recovered %d state records, resuming at %d", where, found.records, found.position)
        return found.position, True

    async def _read_undelivered(self, stack: AsyncExitStack, delivered: int, until: int) -> None:
        """Read on from the position up to `until`; offsets the broker does not hold are explained by that.

        `delivered` is the first offset that the consumer did deliver.
        """
        context = self._context
        start = self._reached
        missed = 0
        if self._reader is None:
            reader = context.new_reader(context.kafka, context.topic, self.partition)
            self._reader = await stack.enter_async_context(reader)
        async for records in self._reader.read(start, until):
            for first in range(0, len(records), context.batch_records):
                await self._process(records[first : first + context.batch_records])
            missed += sum(record.offset < delivered for record in records)
        if self._reached < until:
            await self._advance(until)  # markers of transactions, say: passed, and durably so
        if missed:
            self.gaps_filled += 1
            self._note_deafness(delivered == until)
            log.warning("%s/%d: %d..%d was not delivered; read %d records from the broker", context.topic,
                        self.partition, start, delivered - 1, missed)  # fmt: skip

    def _note_deafness(self, silent: bool) -> None:
        self._deaf_reads = self._deaf_reads + 1 if silent else 0
        if self._deaf_reads > MAX_DEAF_READS:
            where = f"{self._context.topic}/{self.partition}"
            raise ConsumerDeaf(
                f"{where}: {self._deaf_reads} times in a row records came that the consumer did not deliver"
            )

    async def _process(self, batch: Sequence[RawRecord]) -> None:
        """One contiguous run through the machine and on its way; step 4 follows from `position`."""
        assert self._machine is not None
        await self._flights.room()
        self._reached = position = batch[-1].offset + 1
        following = self._following
        outputs = self._machine.step(batch) if following is None else following.step(self._machine, batch)
        changes = state_outputs(self._context.changelog, self.partition, position, self._machine.take_changes())
        self._begin(position, outputs, changes)
        self.batches += 1
        self.batch_records += len(batch)

    async def _advance(self, position: int) -> None:
        """Everything before `position` is taken; make that durable."""
        await self._flights.room()
        self._reached = position
        self._begin(position, [], [])

    def _begin(self, position: int, outputs: list[Output], changes: list[Output]) -> None:
        assert self._machine is not None
        mark = position_output(self._context.changelog, self.partition, position, self._machine.checkpoint())
        self._flights.begin(Batch(position, outputs, changes, mark), self._arrived.set)

    def _landed(self, position: int) -> None:
        """Step 3 is done: everything before `position` is durable, and only now is that shown."""
        self.position = position
        if self._following is not None:
            self._following.landed(position)
