"""The changelog of one partition's deliveries, written by one owner at a time.

Guarantee: a write returns only if it is durable and nobody has taken the partition over before it. Each write is a
transaction under the partition's own transactional id; whoever takes over fences the one before at the broker, whose
next write then fails. So a paused process that wakes up cannot hand over a mail: handing over is journaled first.
Nothing else is in these transactions, so a cut-off one holds up no other reader.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from schemas.kafka import Address, client_arguments
from schemas.topics import MAILER_CHANGELOG
from streams.durable.producer import REQUEST_TIMEOUT_MS, new_producer
from streams.durable.reader import PartitionReader

_TRANSACTION_MS = 10_000
ChangelogRecord = tuple[bytes, bytes | None]


class Journal:
    """See the module. `open` first, `close` at the end."""

    def __init__(self, kafka: Address, partition: int, *, throwaway: bool = False) -> None:
        self._kafka, self._partition, self._throwaway = kafka, partition, throwaway
        self._one_at_a_time = asyncio.Lock()
        self._producer: Any = None

    async def open(self) -> dict[bytes, bytes]:
        """Take the partition over, and read what it holds: the newest value of each key."""
        name = f"quarterhour-mailer-{self._partition}"
        if self._throwaway:  # it knows no transactions, and keeps nothing anyway
            self._producer = new_producer(self._kafka, name, throwaway=True)
        else:
            self._producer = AIOKafkaProducer(
                **client_arguments(self._kafka),
                client_id=name,
                transactional_id=name,  # the fence: one owner of a partition
                acks="all",
                transaction_timeout_ms=_TRANSACTION_MS,
                request_timeout_ms=REQUEST_TIMEOUT_MS,
                linger_ms=0,
            )
        await self._producer.start()
        # Only now: the owner before can add nothing any more, and what it left open has been aborted.
        held: dict[bytes, bytes] = {}
        async with PartitionReader(self._kafka, MAILER_CHANGELOG, self._partition) as reader:
            async for records in reader.read(await reader.beginning(), await reader.end()):
                for record in records:
                    if record.value is None:
                        held.pop(record.key or b"", None)
                    else:
                        held[record.key or b""] = record.value
        return held

    async def write(self, records: Sequence[ChangelogRecord]) -> None:
        """Make the records durable, all or none. Raises when that fails, or another owner has taken over."""
        if not records:
            return
        async with self._one_at_a_time:
            if self._throwaway:
                await self._send(records)
            else:
                async with self._producer.transaction():
                    await self._send(records)

    async def close(self) -> None:
        """Let go of the broker."""
        if self._producer is not None:
            await self._producer.stop()

    async def _send(self, records: Sequence[ChangelogRecord]) -> None:
        sent = [
            await self._producer.send(MAILER_CHANGELOG, value, key, partition=self._partition) for key, value in records
        ]
        await asyncio.gather(*sent)
