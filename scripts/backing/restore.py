"""Writing an empty Kafka from a backup, each record at its old offset and with its old append time.

Offsets: origins and positions name them, so they are kept exactly. Where the old log had none of its own to show (the
mark of a publisher's transaction, a record that compaction removed), the offset is used up by a transaction here: its
mark takes one, and what an aborted one wrote nobody reads.

Append times: `interactions` is stamped by the broker, and U6 judges by that stamp. So it is made with the publisher's
stamps, written, and set to the broker's stamps at the end; a broker keeps what a record was stamped with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.kafka import Address, client_arguments
from schemas.settings import Settings
from schemas.topics import Topic, topic_table
from scripts.backing.format import (
    OFFSETS_FREE,
    BackupFault,
    Manifest,
    Saved,
    SavedPartition,
    read_manifest,
    read_records,
)
from scripts.stack.topics import create_topics
from streams.durable.producer import MAX_BATCH_BYTES, REQUEST_TIMEOUT_MS, new_producer

RUN = 2_000
STAMPED_BY = "message.timestamp.type"
Tell = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Step:
    """Consecutive records, and how many offsets behind them nobody may see."""

    records: tuple[Saved, ...]
    hidden: int


def steps(records: Iterator[Saved], end: int, *, keep_offsets: bool) -> Iterator[Step]:
    """What to write, in order, so that each record gets its offset; `end` is the offset after everything.

    At a gap of one the last record stands alone: it will be in a transaction, whose mark is the gap.
    """
    expected, run = 0, list[Saved]()
    for record in records:
        hidden = record.offset - expected if keep_offsets else 0
        if hidden or len(run) == RUN:
            yield from _cut(run, hidden)
            run = []
        run.append(record)
        expected = record.offset + 1
    yield from _cut(run, end - expected if keep_offsets else 0)


def _cut(run: list[Saved], hidden: int) -> Iterator[Step]:
    if hidden == 1 and len(run) > 1:
        yield Step(tuple(run[:-1]), 0)
        run = run[-1:]
    if run or hidden:
        yield Step(tuple(run), hidden)


async def restore(settings: Settings, folder: Path, tell: Tell = lambda _: None) -> Manifest:
    """Write the backup into the settings' Kafka, which must hold none of our records. Raises BackupFault."""
    manifest = await asyncio.to_thread(read_manifest, folder)
    had = (manifest.interaction_partitions, manifest.account_partitions)
    if had != (settings.interaction_partitions, settings.account_partitions):
        raise BackupFault(
            f"the backup has {had[0]} partitions of interactions and {had[1]} by workspace, and records are placed by "
            f"it: set QUARTERHOUR_INTERACTION_PARTITIONS={had[0]} and QUARTERHOUR_ACCOUNT_PARTITIONS={had[1]}"
        )
    kafka = settings.kafka
    table = topic_table(*had)
    stamped = [topic for topic in table if STAMPED_BY in topic.config]
    config = {topic.name: {n: v for n, v in topic.config.items() if n != STAMPED_BY} for topic in table}
    wanted = [replace(topic, config=config[topic.name]) for topic in table]
    await _check_empty(
        kafka, wanted, await create_topics(kafka, wanted, replication_factor=settings.replication_factor)
    )
    await _stamp(kafka, [replace(topic, config=config[topic.name]) for topic in stamped])
    async with _Writer(kafka) as writer:
        for saved in manifest.partitions:
            keep = saved.topic not in OFFSETS_FREE
            for step in steps(read_records(folder, saved), saved.end, keep_offsets=keep):
                await writer.write(saved, step, keep_offsets=keep)
                tell(len(step.records))
    await _stamp(kafka, stamped)
    return manifest


async def _check_empty(kafka: Address, table: list[Topic], created: list[str]) -> None:
    there = [TopicPartition(t.name, p) for t in table if t.name not in created for p in range(t.partitions)]
    if not there:
        return
    consumer = AIOKafkaConsumer(**client_arguments(kafka))
    try:
        await consumer.start()
        ends = await consumer.end_offsets(there)
    finally:
        await consumer.stop()
    used = sorted({place.topic for place, end in ends.items() if end})
    if used:
        raise BackupFault(f"this Kafka has held records in {', '.join(used)}: restore into an empty one")


async def _stamp(kafka: Address, topics: list[Topic]) -> None:
    """Give the topics exactly the settings they name."""
    admin = AIOKafkaAdminClient(**client_arguments(kafka))
    try:
        await admin.start()
        resources = [ConfigResource(ConfigResourceType.TOPIC, t.name, dict(t.config)) for t in topics]
        for answer in await admin.alter_configs(resources):
            for code, message, *_ in answer.resources:
                if code:
                    raise BackupFault(f"the broker refused the settings of a topic: {message or code}")
    finally:
        await admin.close()


class _Writer:
    def __init__(self, kafka: Address) -> None:
        self._plain = new_producer(kafka, "quarterhour-restore")
        self._transactional: Any = AIOKafkaProducer(
            **client_arguments(kafka), client_id="quarterhour-restore-gaps", acks="all", linger_ms=0,
            transactional_id="quarterhour-restore", max_batch_size=MAX_BATCH_BYTES, max_request_size=16 * 1024 * 1024,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )  # fmt: skip

    async def __aenter__(self) -> _Writer:
        await self._plain.start()
        await self._transactional.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._plain.stop()
        await self._transactional.stop()

    async def write(self, place: SavedPartition, step: Step, *, keep_offsets: bool) -> None:
        """Write one step; BackupFault if a record did not get its offset."""
        if step.hidden == 1 and not step.records:
            raise BackupFault(f"{place.topic}-{place.partition} begins with one hidden offset, which nothing can fill")
        if step.hidden == 1:
            await self._transactional.begin_transaction()
            await self._send(self._transactional, place, step.records, keep_offsets)
            await self._transactional.commit_transaction()
            return
        await self._send(self._plain, place, step.records, keep_offsets)
        if step.hidden:
            hidden = tuple(Saved(0, 0, b"-", b"") for _ in range(step.hidden - 1))
            await self._transactional.begin_transaction()
            await self._send(self._transactional, place, hidden, keep_offsets=False)
            await self._transactional.abort_transaction()

    async def _send(self, producer: Any, place: SavedPartition, records: tuple[Saved, ...], keep_offsets: bool) -> None:
        rest = list(records)
        while rest:
            batch, taken = producer.create_batch(), 0
            for r in rest:
                if batch.append(timestamp=r.timestamp_ms, key=r.key, value=r.value, headers=list(r.headers)) is None:
                    break
                taken += 1
            if not taken:
                raise BackupFault(f"{place.topic}-{place.partition}@{rest[0].offset} fits no batch")
            written = await (await producer.send_batch(batch, place.topic, partition=place.partition))
            if keep_offsets and written.offset != rest[0].offset:
                where = f"{place.topic}-{place.partition}@{rest[0].offset}"
                raise BackupFault(f"{where} came to lie at {written.offset}: somebody else writes here; begin anew")
            rest = rest[taken:]
