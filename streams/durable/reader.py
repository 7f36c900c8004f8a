"""Reading one partition directly, by position: for recovery, and to ask the broker what is really there (law 8)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from schemas.errors import QuarterhourError

FETCH_BYTES = 8 * 1024 * 1024
RECORDS_A_TIME = 20_000


class RecordsGone(QuarterhourError):
    """The broker no longer holds records that were asked for."""


class PartitionReader:
    """A group-less consumer of one partition; use as an async context manager."""

    def __init__(self, bootstrap: str, topic: str, partition: int) -> None:
        self._partition = TopicPartition(topic, partition)
        self._consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",  # never silently read from somewhere else
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=4 * FETCH_BYTES,
        )

    async def __aenter__(self) -> PartitionReader:
        await self._consumer.start()
        self._consumer.assign([self._partition])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def beginning(self) -> int:
        """The first offset the broker holds."""
        return int((await self._consumer.beginning_offsets([self._partition]))[self._partition])

    async def end(self) -> int:
        """The offset after the last one the broker holds."""
        return int((await self._consumer.end_offsets([self._partition]))[self._partition])

    async def read(self, start: int, end: int) -> AsyncIterator[list[Any]]:
        """Records with start <= offset < end, in runs. Offsets the broker does not hold are passed over.

        Raises RecordsGone when `start` is below what is retained.
        """
        self._consumer.seek(self._partition, start)
        position = start
        while position < end:
            try:
                found = await self._consumer.getmany(timeout_ms=1000, max_records=RECORDS_A_TIME)
            except OffsetOutOfRangeError:
                where = f"{self._partition.topic}/{self._partition.partition}"
                raise RecordsGone(f"{where}: offset {position} is asked for and no longer held") from None
            records = [record for record in found.get(self._partition, []) if record.offset < end]
            if records:
                yield records
            position = int(await self._consumer.position(self._partition))
