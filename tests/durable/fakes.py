"""A broker in memory, a machine one can read along with, and actors on both."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from schemas.tracing import Tracer
from streams.durable.actor import MAX_BATCH, ActorContext, PartitionActor
from streams.durable.changelog import Recovered, StateFold
from streams.durable.failpoints import FailPoint
from streams.durable.machine import Output, PartitionMachine, RawRecord
from streams.durable.reader import RecordsGone

TOPIC = "input"
CHANGELOG = "state"
OUTPUT = "output"


@dataclass(frozen=True)
class Record:
    """A record as a client gives it."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = 0
    timestamp_ms: int = 0


@dataclass
class FakeLog:
    """Topics of one partition each. `first` is where the input's retained log begins."""

    topics: dict[str, list[Record]] = field(default_factory=dict)
    first: int = 0
    end: int | None = None
    """The input's end, when markers follow its last record."""
    readers: int = 0
    refuse: str = ""
    refuse_send: int = -1
    """The number of the send to refuse, counted from 0."""
    sends: int = 0
    held_up: asyncio.Event | None = None
    """While set and not signalled, sends wait for it; those to `held_topic` only, if that is named."""
    held_topic: str = ""
    turns: random.Random | None = None
    """How many turns of the loop a send takes, and its acknowledgement; none by default."""
    dead: bool = False
    """The process was killed: nothing it still sends arrives."""

    def append(self, topic: str, key: bytes | None, value: bytes | None, headers: Any = (), gap: int = 0) -> int:
        """Append a record, leaving out so many offsets before it; gives its offset."""
        held = self.topics.setdefault(topic, [])
        offset = (held[-1].offset + 1 if held else 0) + gap
        held.append(Record(offset, key, value, tuple(headers)))
        return offset

    def records(self, topic: str, start: int = 0) -> list[Record]:
        """What a topic holds from an offset on."""
        return [record for record in self.topics.get(topic, []) if record.offset >= start]

    def input(self, start: int = 0, end: int = 1 << 60) -> list[RawRecord]:
        """A run of the input as the consumer would deliver it."""
        found = [record for record in self.records(TOPIC, start) if record.offset < end]
        return [RawRecord(r.offset, r.timestamp, r.key, r.value, r.headers) for r in found]

    def outputs(self) -> list[bytes]:
        """What came out, in order."""
        return [record.value or b"" for record in self.records(OUTPUT)]

    def create_batch(self) -> FakeBatch:
        """See aiokafka's producer."""
        return FakeBatch()

    async def send_batch(self, batch: FakeBatch, topic: str, *, partition: int) -> asyncio.Future[None]:
        """See aiokafka's producer."""
        if self.held_up is not None and self.held_topic in ("", topic):
            await self.held_up.wait()
        number = self.sends
        self.sends += 1
        await self._turn()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.dead:
            return done
        if topic == self.refuse or number == self.refuse_send:
            done.set_exception(TimeoutError(f"{topic} refused"))
        else:
            for key, value, headers in batch.content:
                self.append(topic, key, value, headers)
            await self._turn()
            done.set_result(None)
        return done

    async def _turn(self) -> None:
        for _ in range(self.turns.randrange(8) if self.turns is not None else 0):
            await asyncio.sleep(0)


class FakeBatch:
    """A batch without limits."""

    def __init__(self) -> None:
        self.content: list[tuple[bytes | None, bytes | None, Any]] = []

    def append(self, *, timestamp: None, key: bytes | None, value: bytes | None, headers: Any) -> object:
        """See aiokafka's batch builder."""
        self.content.append((key, value, headers))
        return self


class FakeReader:
    """Reads the log by position."""

    def __init__(self, log: FakeLog, topic: str) -> None:
        self._log = log
        self._topic = topic
        log.readers += 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def beginning(self) -> int:
        """See PartitionReader."""
        return self._log.first

    async def end(self) -> int:
        """See PartitionReader."""
        held = self._log.records(self._topic)
        return self._log.end or (held[-1].offset + 1 if held else self._log.first)

    async def read(self, start: int, end: int) -> AsyncIterator[list[RawRecord]]:
        """See PartitionReader."""
        if start < self._log.first:
            raise RecordsGone(f"offset {start}")
        found = [
            RawRecord(record.offset, record.timestamp, record.key, record.value, record.headers)
            for record in self._log.records(self._topic, start)
            if record.offset < end
        ]
        if found:
            yield found


class SumMachine:
    """Sums the numbers of each key; puts out `offset:key=sum` for each record."""

    def __init__(self) -> None:
        self.sums: dict[bytes, int] = {}
        self.seen: list[int] = []
        self.checkpoint_restored: bytes | None = None
        self._dirty: dict[bytes, None] = {}

    def restore(self, key: bytes, value: bytes) -> None:
        """See PartitionMachine."""
        self.sums[key] = int(value)

    def restored(self, checkpoint: bytes | None) -> None:
        """See PartitionMachine."""
        self.checkpoint_restored = checkpoint

    def step(self, records: Sequence[RawRecord]) -> list[Output]:
        """See PartitionMachine. A sum of zero is a key that is gone."""
        outputs = []
        for record in records:
            key = record.key or b""
            self.seen.append(record.offset)
            self.sums[key] = self.sums.get(key, 0) + int(record.value or b"")
            self._dirty[key] = None
            outputs.append(Output(OUTPUT, 0, key, b"%d:%s=%d" % (record.offset, key, self.sums[key])))
        return outputs

    def take_changes(self) -> list[tuple[bytes, bytes | None]]:
        """See PartitionMachine."""
        changes = [(key, b"%d" % self.sums[key] if self.sums[key] else None) for key in self._dirty]
        self._dirty.clear()
        return changes

    def outcome_counts(self) -> dict[str, int]:
        return {}

    def checkpoint(self) -> bytes:
        """See PartitionMachine."""
        return b"%d" % len(self.seen)


class FakeWorld:
    """One partition of a broker in memory, the group's committed offset, and actors that come and go."""

    def __init__(self) -> None:
        self.log = FakeLog()
        self.committed: int | None = None
        self.current = True
        self.machines: list[SumMachine] = []
        self.actors: list[PartitionActor] = []
        self.recoveries = 0
        self.fail_point = FailPoint("")
        self.batch_records = MAX_BATCH
        self.tracer: Tracer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def publish(self, *numbers: int, gap: int = 0) -> None:
        """Append numbers to the input, each of key `a` if even and `b` if odd."""
        for number in numbers:
            self.log.append(TOPIC, b"ab"[number % 2 :][:1], b"%d" % number, gap=gap)

    def actor(self, generation: int = 1) -> PartitionActor:
        """A new actor on the same log."""
        self.actors.append(PartitionActor(0, generation, self.context()))
        return self.actors[-1]

    def context(self) -> ActorContext:
        """What actors here need."""
        context = ActorContext(
            "", TOPIC, CHANGELOG, self.log, self._new_machine, self._committed,
            lambda *_: self.current, self.fail_point, self.batch_records, tracer=self.tracer,
        )  # fmt: skip
        return replace(context, new_reader=lambda _b, topic, _p: FakeReader(self.log, topic), recover=self._recover)

    def run(self, actor: PartitionActor) -> asyncio.Task[None]:
        """Run an actor in the background."""
        task = asyncio.create_task(actor.run())
        self._tasks.append(task)
        return task

    async def in_flight(self) -> tuple[PartitionActor, asyncio.Task[None], asyncio.Event]:
        """An actor that runs and was given all of the input; the broker holds up its sends until the event is set."""
        actor = self.actor()
        task = self.run(actor)
        await self.settle()
        self.log.held_up = let_go = asyncio.Event()
        await actor.feed(self.log.input())
        await self.settle()
        return actor, task, let_go

    async def settle(self) -> None:
        """Let everything that can happen happen."""
        for _ in range(200):
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Cancel what still runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _new_machine(self, _: int) -> PartitionMachine:
        self.machines.append(SumMachine())
        return self.machines[-1]

    async def _committed(self, _: int) -> int | None:
        return self.committed

    async def _recover(self, _kafka: object, topic: str, _partition: int, machine: PartitionMachine) -> Recovered:
        self.recoveries += 1
        fold = StateFold()
        records = self.log.records(topic)
        fold.records(records)
        fold.restore_into(machine)
        return Recovered(fold.position, len(records), fold.stale, fold.overtaken(topic, 0))
