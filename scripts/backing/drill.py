"""The disaster drill: load, back up while events flow, lose everything, restore, go on; and nothing may differ.

What the first world came to without a disaster is what the second one must come to: its producer goes on where the
restored topics end, as gateways do that send again what was not acknowledged (U7). The second world is besides judged
by itself: topics record for record as they were saved, ledger to the byte, recount in SQL, rebuild of all tables.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from projections import rebuild
from projections.loader.kafka import KafkaSource
from projections.loader.rows import LOADED_TOPICS
from schemas.settings import Settings
from schemas.topics import LEDGER
from scripts.backing.comparing import Figures, compared, differences, figures, reconciled, torn
from scripts.backing.format import BackupFault
from scripts.backing.restore import restore
from scripts.backing.save import save
from scripts.drain import drain
from scripts.local import LocalStack, local_stack
from scripts.operating.brokers import topic_states
from scripts.replay.publisher import output_of, replay, sign_ups
from scripts.replay.schedule import Step as ReplayStep
from scripts.replay.schedule import schedule
from scripts.replay.source import EventLog
from scripts.stack.home import Home, World
from scripts.stack.kafka_artifacts import kafka_artifacts
from scripts.stack.kafka_node import KafkaNode
from scripts.stack.supervisor import Supervisor
from streams.audit.ledger import audit_ledger
from streams.durable.producer import new_producer, produce
from streams.durable.reader import GroupView

Announce = Callable[[str], None]
BACKUP_AT = 0.4
"""The share of the events after which the backup begins."""
CHUNK_SECONDS = 0.02
POSTED_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the drill: what was done or checked, what came of it, and every difference that should not be."""

    name: str
    result: str
    seconds: float
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drill:
    """A drill in an empty folder. `seconds`: over how long the events are spread that come while the backup is taken.

    Needs Java and Kafka's artifacts (`KafkaUnavailable`); each step is told as it ends.
    """

    folder: Path
    log: EventLog
    settings: Settings
    seconds: float
    tell: Callable[[Step], None]
    announce: Announce
    steps: list[Step] = field(default_factory=list)

    async def run(self) -> list[Step]:
        """All steps; those with `differences` failed, and the ones after them were still done."""
        expected = await self._before()
        with self._step("lose Kafka, ClickHouse and every process") as told:
            await asyncio.to_thread(shutil.rmtree, self._world("lost").directory)
            told("nothing is left but the backup")
        await self._after(expected)
        return self.steps

    async def _before(self) -> Figures:
        """The world that will be lost, and what it came to."""
        async with self._stack("lost", self.settings) as stack:
            settings = stack.settings
            producer = new_producer(settings.kafka, "quarterhour-drill")
            await producer.start()
            try:
                steps = list(schedule(self.log, settings.interaction_partitions, settings.allowed_lateness_us))
                first = int(len(steps) * BACKUP_AT)
                await produce(producer, sign_ups(self.log, settings))
                await produce(producer, [output_of(step, self.log) for step in steps[:first]])
                await _first_posted(settings)
                flow = _Flow(producer, self.log, steps[first:], self.seconds)
                flowing = asyncio.create_task(flow.run())
                try:
                    with self._step("back up while events flow") as told:
                        manifest = await save(settings, self._backup)
                        saved = sum(part.records for part in manifest.partitions)
                        came = f"{flow.sent:,} of {len(steps):,} records came meanwhile"
                        told(f"{saved:,} records; {came}", tuple(torn(self._backup, manifest)))
                    with self._step("take all events, with no disaster") as told:
                        await flowing
                        await drain(settings)
                        expected = await asyncio.to_thread(figures, settings)
                        told(str(expected["summary"]))
                finally:
                    flowing.cancel()
            finally:
                await producer.stop()
            return expected

    async def _after(self, expected: Figures) -> None:
        """The world that is restored from the backup."""
        async with self._kafka(self._world("restored")) as kafka:
            with self._step("restore into an empty Kafka") as told:
                manifest = await restore(kafka, self._backup)
                states = await topic_states(kafka)
                wrong = [f"{s.name}: {difference}" for s in states for difference in s.differences]
                wrong += await _unrefused(kafka, self._backup)
                told(f"{sum(part.records for part in manifest.partitions):,} records", tuple(wrong))
            with self._step("back up what was restored, and compare record for record") as told:
                again = self.folder / "again"
                found = await asyncio.to_thread(compared, self._backup, manifest, again, await save(kafka, again))
                told(f"{len(manifest.partitions)} partitions", tuple(found))
            await self._verify(kafka, "verify the restored ledger")
            async with self._stack("restored", kafka) as stack:
                with self._step("start METER, ACCOUNTS and LOADER; the producer goes on") as told:
                    published = await replay(self.log, stack.settings, None)
                    await drain(stack.settings)
                    found_now = await asyncio.to_thread(figures, stack.settings)
                    told(
                        f"{published.events:,} events sent again or anew; units, charges and balances compared",
                        tuple(differences(expected, found_now)),
                    )
                with self._step("reconcile: recount everything in SQL") as told:
                    counted = await asyncio.to_thread(reconciled, stack.settings)
                    told(f"{len(counted)} differences", tuple(counted))
                await self._verify(stack.settings, "verify the ledger after going on")
                with self._step("rebuild ClickHouse from the topics, and compare") as told:
                    async with KafkaSource(stack.settings.kafka, LOADED_TOPICS) as source:
                        done = await rebuild.rebuild(stack.settings.clickhouse_url, source)
                    told(f"{done.records:,} records", tuple(str(c) for c in done.comparisons if not c.is_same))

    async def _verify(self, settings: Settings, name: str) -> None:
        with self._step(name) as told:
            audit = await audit_ledger(settings, lambda *_: None)
            told(f"{audit.records:,} records", tuple(str(fault) for fault in audit.faults))

    def _step(self, name: str) -> _Told:
        return _Told(name, self._ended)

    def _ended(self, step: Step) -> None:
        self.steps.append(step)
        self.tell(step)

    @property
    def _backup(self) -> Path:
        return self.folder / "backup"

    def _world(self, name: str) -> World:
        return Home(self.folder / "home").world(name)

    @asynccontextmanager
    async def _stack(self, world: str, settings: Settings) -> AsyncIterator[LocalStack]:
        async with local_stack(self._world(world), settings, self.announce, live=False, with_doors=False) as stack:
            yield stack

    @asynccontextmanager
    async def _kafka(self, world: World) -> AsyncIterator[Settings]:
        """A Kafka alone, empty."""
        node = KafkaNode.on_ports(kafka_artifacts(self.announce), world.kafka, None)
        await node.prepare()
        async with Supervisor(world.logs / "kafka", announce=self.announce, signals=False) as supervisor:
            await supervisor.start([node.process("kafka")])
            yield self.settings.model_copy(update={"kafka_bootstrap_servers": node.bootstrap})


class _Flow:
    """The rest of the events, a few at a time."""

    def __init__(self, producer: Any, log: EventLog, steps: Sequence[ReplayStep], seconds: float) -> None:
        self._producer, self._log, self._steps = producer, log, steps
        self._chunk = max(1, int(len(steps) * CHUNK_SECONDS / seconds))
        self.sent = 0

    async def run(self) -> None:
        """Publish them all, each chunk acknowledged."""
        for first in range(0, len(self._steps), self._chunk):
            chunk = self._steps[first : first + self._chunk]
            await produce(self._producer, [output_of(step, self._log) for step in chunk])
            self.sent += len(chunk)
            await asyncio.sleep(CHUNK_SECONDS)


class _Told:
    """A step being done; called once with its result."""

    def __init__(self, name: str, ended: Callable[[Step], None]) -> None:
        self._name, self._ended = name, ended
        self._began = time.monotonic()
        self._said: tuple[str, tuple[str, ...]] | None = None

    def __enter__(self) -> _Told:
        return self

    def __call__(self, result: str, wrong: tuple[str, ...] = ()) -> None:
        """What came of it."""
        self._said = (result, wrong)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._said is not None:
            self._ended(Step(self._name, self._said[0], time.monotonic() - self._began, self._said[1]))


async def _first_posted(settings: Settings) -> None:
    """Wait until all is in flow: state, units and ledger records are being written."""
    view = GroupView(settings.kafka, "quarterhour-drill", LEDGER)
    await view.start()
    try:
        async with asyncio.timeout(POSTED_SECONDS):
            while not sum((await view.ends(range(settings.account_partitions))).values()):  # noqa: ASYNC110 - others write
                await asyncio.sleep(CHUNK_SECONDS)
    finally:
        await view.stop()


async def _unrefused(settings: Settings, backup: Path) -> list[str]:
    """A backup must not be written over anything."""
    try:
        await restore(settings, backup)
    except BackupFault:
        return []
    return ["restoring a second time was not refused"]
