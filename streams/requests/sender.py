"""A producer for single records that outlives a broker's absence: made when first needed, and again after it failed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiokafka.errors import KafkaError

from schemas.errors import QuarterhourError
from schemas.kafka import Address
from streams.durable.machine import Output
from streams.durable.producer import new_producer, produce

MOST_ON_THE_WAY = 1_000


class BrokerAway(QuarterhourError):
    """The broker does not answer; it may have taken the record, or may still."""

    def __str__(self) -> str:
        return "Kafka does not answer. The command may have been taken all the same: give it again under the same key."


class Sender:
    """Sends records, each acknowledged. A send whose caller has gone goes on: it may be on its way already."""

    def __init__(self, kafka: Address, client_id: str, *, throwaway: bool) -> None:
        self._kafka, self._client_id, self._throwaway = kafka, client_id, throwaway
        self._producer: Any = None
        self._starting = asyncio.Lock()
        self._on_the_way: set[asyncio.Task[None]] = set()

    async def send(self, output: Output) -> None:
        """Send one record; returns when it is acknowledged. Raises `BrokerAway`."""
        if len(self._on_the_way) >= MOST_ON_THE_WAY:
            raise BrokerAway
        task = asyncio.create_task(self._send(output))
        self._on_the_way.add(task)
        task.add_done_callback(self._arrived)
        await asyncio.shield(task)

    async def stop(self) -> None:
        """Let go of what is on its way."""
        tasks = list(self._on_the_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._discard(self._producer)

    async def _send(self, output: Output) -> None:
        try:
            producer = await self._started()
        except (KafkaError, OSError):
            raise BrokerAway from None
        try:
            await produce(producer, [output])
        except (KafkaError, OSError):
            # An idempotent producer that failed once may go on failing: its next record gets a new one.
            await self._discard(producer)
            raise BrokerAway from None

    async def _started(self) -> Any:
        async with self._starting:
            if self._producer is None:
                producer = new_producer(self._kafka, self._client_id, throwaway=self._throwaway)
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def _discard(self, producer: Any) -> None:
        if producer is self._producer:
            self._producer = None
        if producer is not None:
            with contextlib.suppress(KafkaError, OSError):
                await producer.stop()

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._on_the_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited was told; whoever left need not be
