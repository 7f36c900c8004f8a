"""Asking the broker: what a partition holds from a position on, where it ends, what the group has committed (law 8).

Everything reads committed records only: what a publisher's aborted transaction wrote never was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from schemas.errors import QuarterhourError
from schemas.kafka import Address, client_arguments
from streams.durable.machine import RawRecord
from streams.durable.runs import RUNS_A_TIME, give_runs

FETCH_BYTES = 8 * 1024 * 1024
ISOLATION = "read_committed"
METADATA_MS = 5_000
"""How often a member of a group asks which partitions there are. Whoever asked while the broker was away and then leads
the group assigns nothing to anybody until it asks again; aiokafka's own interval is five minutes."""


class RecordsGone(QuarterhourError):
    """The broker no longer holds records that were asked for."""


class PartitionReader:
    """A group-less consumer of one partition; use as an async context manager, for as many reads as wanted."""

    def __init__(self, kafka: Address, topic: str, partition: int, fetch_bytes: int = FETCH_BYTES) -> None:
        self._partition = TopicPartition(topic, partition)
        self._consumer: Any = AIOKafkaConsumer(
            **client_arguments(kafka),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",  # never silently read from somewhere else
            isolation_level=ISOLATION,
            max_partition_fetch_bytes=fetch_bytes,
            fetch_max_bytes=4 * fetch_bytes,
        )

    async def __aenter__(self) -> Self:
        await _start(self._consumer)
        give_runs(self._consumer)
        self._consumer.assign([self._partition])
        self._consumer.pause(self._partition)  # fetches during `read` only
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def beginning(self) -> int:
        """The first offset the broker holds."""
        return int((await self._consumer.beginning_offsets([self._partition]))[self._partition])

    async def end(self) -> int:
        """The offset after the last one the broker holds."""
        return int((await self._consumer.end_offsets([self._partition]))[self._partition])

    async def read(self, start: int, end: int) -> AsyncIterator[list[RawRecord]]:
        """Records with start <= offset < end, in runs. Offsets the broker does not hold are passed over.

        Raises RecordsGone when `start` is below what is retained.
        """
        self._consumer.seek(self._partition, start)
        self._consumer.resume(self._partition)
        try:
            position = start
            while position < end:
                try:
                    found = await self._consumer.getmany(timeout_ms=1000, max_records=RUNS_A_TIME)
                except OffsetOutOfRangeError:
                    where = f"{self._partition.topic}/{self._partition.partition}"
                    raise RecordsGone(f"{where}: offset {position} is asked for and no longer held") from None
                for run in found.get(self._partition, []):
                    records = run if run[-1].offset < end else [record for record in run if record.offset < end]
                    if records:
                        yield records
                position = int(await self._consumer.position(self._partition))
        finally:
            self._consumer.pause(self._partition)


class GroupView:
    """What the broker knows of a group on one topic, asked from outside the group: its commits, the log's ends.

    Asking waits out a coordinator that is not there yet, as after a broker's restart.
    """

    def __init__(self, kafka: Address, group: str, topic: str) -> None:
        self._kafka, self._group, self._topic = kafka, group, topic
        self._consumer: Any = None

    async def start(self) -> None:
        """Connect; joins no group."""
        # Made here, because a client that was made and never started counts as left open.
        self._consumer = AIOKafkaConsumer(
            **client_arguments(self._kafka), group_id=self._group, enable_auto_commit=False, isolation_level=ISOLATION
        )
        await _start(self._consumer)

    async def stop(self) -> None:
        """Disconnect; harmless when it never connected."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def committed(self, partition: int) -> int | None:
        """The group's committed offset of a partition, None when there is none."""
        offset = await self._consumer.committed(TopicPartition(self._topic, partition))
        return None if offset is None else int(offset)

    async def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """The offsets after the last ones the broker holds."""
        asked = [TopicPartition(self._topic, partition) for partition in partitions]
        ends = await self._consumer.end_offsets(asked) if asked else {}
        return {tp.partition: int(end) for tp, end in ends.items()}


async def _start(consumer: Any) -> None:
    """Start a client, leaving nothing open when that fails or is cancelled."""
    try:
        await consumer.start()
    except BaseException:
        await consumer.stop()
        raise
