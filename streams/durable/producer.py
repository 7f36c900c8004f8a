"""Producing with the guarantee law 1 asks for: idempotent, acknowledged by all in-sync replicas, each send awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError

from schemas.kafka import Address, client_arguments
from streams.durable.machine import Output

MAX_BATCH_BYTES = 1024 * 1024
REQUEST_TIMEOUT_MS = 30_000
_NO_HEADERS: list[tuple[str, bytes]] = []


def new_producer(kafka: Address, client_id: str, *, throwaway: bool = False) -> Any:
    """An idempotent producer; start it before use. A throw-away broker knows no idempotence, so law 1 fails there."""
    return AIOKafkaProducer(
        **client_arguments(kafka),
        client_id=client_id,
        acks="all",  # law 1: durable before the next step
        enable_idempotence=not throwaway,  # a retry inside the client is no second record
        max_batch_size=MAX_BATCH_BYTES,
        max_request_size=16 * 1024 * 1024,  # one large state record must still pass
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        linger_ms=0,  # batches are made by the caller
    )


async def produce(producer: Any, outputs: Iterable[Output]) -> None:
    """Send all outputs, in order within each partition, and return when every one is acknowledged.

    Raises what the broker refused, or TimeoutError: the caller must then not go on (outputs before state).
    """
    groups: dict[tuple[str, int], list[Output]] = {}
    for output in outputs:
        groups.setdefault((output.topic, output.partition), []).append(output)
    if groups:
        await asyncio.gather(*(_produce_partition(producer, *where, group) for where, group in groups.items()))


async def _produce_partition(producer: Any, topic: str, partition: int, outputs: list[Output]) -> None:
    futures: list[Any] = []
    batch = producer.create_batch()
    for output in outputs:
        headers = list(output.headers) if output.headers else _NO_HEADERS
        if batch.append(timestamp=None, key=output.key, value=output.value, headers=headers) is None:
            futures.append(await _handed_over(producer, batch, topic, partition))
            batch = producer.create_batch()
            if batch.append(timestamp=None, key=output.key, value=output.value, headers=headers) is None:
                raise ValueError(f"an output to {topic} of {len(output.value or b'')} bytes fits no batch")
    futures.append(await _handed_over(producer, batch, topic, partition))
    await asyncio.gather(*futures)


async def _handed_over(producer: Any, batch: Any, topic: str, partition: int) -> Any:
    """Give a batch to the client, which has room for one a partition; what tells of its acknowledgement.

    aiokafka 0.14 takes the time since the first wait off its limit again after each: where several send to a partition,
    a few seconds use up its 30. It has not taken the batch then, so it is asked again, until the limit is really over.
    """
    until = time.monotonic() + REQUEST_TIMEOUT_MS / 1000
    while True:
        try:
            return await producer.send_batch(batch, topic, partition=partition)
        except KafkaTimeoutError:
            if time.monotonic() >= until:
                raise
