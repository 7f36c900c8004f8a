"""Handing outputs to aiokafka's producer."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.structs import TopicPartition

from streams.durable import producer as producing
from streams.durable.machine import Output
from streams.durable.producer import produce

SENDERS = 12
LIMIT_SECONDS = 0.3


class SlowProducer:
    """aiokafka's own queue of batches, of which one is taken every 50 ms, as from a worker that hardly gets to run."""

    def __init__(self) -> None:
        cluster = SimpleNamespace(leader_for_partition=lambda place: 0)
        self._queue = MessageAccumulator(cluster, 1_000_000, 0, 30)
        self.taken: list[int] = []

    def create_batch(self) -> Any:
        return self._queue.create_builder()

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
        return await self._queue.add_batch(batch, TopicPartition(topic, partition), LIMIT_SECONDS)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            nodes, _ = self._queue.drain_by_nodes(())
            for batches in nodes.values():
                for batch in batches.values():
                    batch.drain_ready()
                    self.taken.append(batch.record_count)
                    batch.done(0, -1)


async def test_many_who_send_to_one_partition_wait_for_their_turn() -> None:
    """Law 1: none gives up while the limit is not over, though the client counts its waits several times."""
    slow = SlowProducer()
    running = asyncio.create_task(slow.run())
    sending = [produce(slow, [Output("ledger", 0, None, b"x")] * (n + 1)) for n in range(SENDERS)]
    await asyncio.gather(*sending)
    running.cancel()
    assert sorted(slow.taken) == list(range(1, SENDERS + 1))


async def test_a_broker_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producing, "REQUEST_TIMEOUT_MS", 10)
    slow = SlowProducer()
    with pytest.raises(KafkaTimeoutError):
        await asyncio.gather(*(produce(slow, [Output("ledger", 0, None, b"x")]) for _ in range(2)))
