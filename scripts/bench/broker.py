"""A real Apache Kafka for one benchmark, in a folder that goes with it; publishing into it, and watching a group.

Guarantees: what it starts it stops, by its own process. Leaves to others: what is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaError as ConfluentError
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.errors import QuarterhourError
from schemas.topics import Topic
from scripts.stack.kafka_archive import class_archive
from scripts.stack.kafka_artifacts import kafka_artifacts
from scripts.stack.kafka_node import STEADY, KafkaNode
from scripts.stack.process import Process, ProcessSpec, tail
from scripts.stack.topics import create_topics
from streams.durable.machine import Output
from streams.durable.producer import new_producer, produce

POLL_SECONDS = 0.1
_CHUNK = 5_000
_GROUP_SECONDS = 30


class BenchmarkFailed(QuarterhourError):
    """A measured process ended, or did not get on; the message holds its log's tail."""


@contextlib.asynccontextmanager
async def broker(announce: Callable[[str], None]) -> AsyncIterator[tuple[str, Path]]:
    """A Kafka and a folder for logs; gives its address and the folder."""
    artifacts = await asyncio.to_thread(kafka_artifacts, announce)
    with tempfile.TemporaryDirectory(prefix="quarterhour-bench-") as name:
        folder = Path(name)
        node = KafkaNode.on_ports(artifacts, folder / "kafka", class_archive=class_archive(artifacts))
        node = replace(node, jvm_options=STEADY)
        await node.prepare()
        process = await Process.start(node.process(), folder / "kafka.log")
        try:
            await node.ready()()
            yield node.bootstrap, folder
        finally:
            await process.stop()


async def renew_topics(bootstrap: str, topics: Iterable[Topic], groups: Iterable[str] = ()) -> None:
    """Make topics anew, empty, and forget groups."""
    topics = list(topics)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        there = set(await admin.list_topics())
        if gone := [topic.name for topic in topics if topic.name in there]:
            await admin.delete_topics(gone)
            while set(gone) & set(await admin.list_topics()):  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(POLL_SECONDS)
    finally:
        await admin.close()
    for group in groups:
        await asyncio.to_thread(_forget_group, bootstrap, group)
    await create_topics(bootstrap, topics)


def _forget_group(bootstrap: str, group: str) -> None:
    """Delete a group's offsets, as soon as its last member is gone and the coordinator is there."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    deadline = time.monotonic() + _GROUP_SECONDS
    while True:
        try:
            admin.delete_consumer_groups([group])[group].result()
        except KafkaException as error:
            code = error.args[0].code()
            if code == ConfluentError.GROUP_ID_NOT_FOUND:
                return
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"the broker does not delete group {group}: {error}") from None
            time.sleep(POLL_SECONDS)
        else:
            return


async def publish(bootstrap: str, outputs: Iterable[Output], progress: Callable[[int], None] = lambda _: None) -> None:
    """Publish records, thousands at a time; `progress` is told how many were added."""
    producer = new_producer(bootstrap, "quarterhour-bench")
    await producer.start()
    try:
        chunk: list[Output] = []
        for output in outputs:
            chunk.append(output)
            if len(chunk) >= _CHUNK:
                await produce(producer, chunk)
                progress(len(chunk))
                chunk.clear()
        await produce(producer, chunk)
        progress(len(chunk))
    finally:
        await producer.stop()


class GroupWatch:
    """How far a group has come on a topic; use as an async context manager."""

    def __init__(self, bootstrap: str, group: str, topic: str) -> None:
        self._group, self._topic = group, topic
        self._admin: Any = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        self._consumer: Any = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None)

    async def __aenter__(self) -> GroupWatch:
        await self._admin.start()
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()
        await self._admin.close()

    async def end(self, partitions: int) -> int:
        """Records in the topic."""
        ends = await self._consumer.end_offsets([TopicPartition(self._topic, p) for p in range(partitions)])
        return sum(ends.values())

    async def committed(self) -> int:
        """Records that the group's committed offsets have passed."""
        try:
            held = await self._admin.list_consumer_group_offsets(self._group)
        except KafkaError:  # the coordinator is not there yet
            return 0
        return sum(max(position.offset, 0) for tp, position in held.items() if tp.topic == self._topic)

    async def wait(
        self, process: Process, log: Path, until: int, progress: Callable[[int], None], stuck_seconds: float = 60
    ) -> list[tuple[float, int]]:
        """Wait until `until` records are committed; the (time, committed) seen on the way."""
        seen = [(time.monotonic(), await self.committed())]
        while seen[-1][1] < until:
            await asyncio.sleep(POLL_SECONDS)
            now, committed = time.monotonic(), await self.committed()
            if committed != seen[-1][1]:
                seen.append((now, committed))
                progress(committed)
            if not process.running or now - seen[-1][0] > stuck_seconds:
                raise BenchmarkFailed(f"{process.spec.name} does not get on ({committed} of {until}):\n{tail(log)}")
        return seen


@contextlib.asynccontextmanager
async def running(spec: ProcessSpec, log: Path) -> AsyncIterator[Process]:
    """A process for the time of the block."""
    process = await Process.start(spec, log)
    try:
        yield process
    finally:
        await process.stop()
