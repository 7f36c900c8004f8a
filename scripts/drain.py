"""Waiting until everything published has gone all the way into ClickHouse.

METER and ACCOUNTS are done when their committed offsets, which follow durable positions, reach the ends of their
topics; LOADER when its positions do. In that order, because each may add to what the next has to read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import Error as ClickHouseError

from projections.connect import connect
from projections.loader.rows import LOADED_TOPICS
from projections.positions import loaded_offsets
from schemas.errors import ConfigurationError, QuarterhourError
from schemas.settings import Settings
from schemas.topics import INBOX, INTERACTIONS, topic_table
from streams.workers import accounts, meter

Lag = Mapping[str, int]
POLL_SECONDS = 0.2


class Stuck(QuarterhourError):
    """Nothing has moved for too long; the message says what is left where, and where to look."""


async def drain(
    settings: Settings, progress: Callable[[Lag], None] = lambda _: None, stuck_seconds: float = 120
) -> None:
    """Return when nothing is left anywhere; Stuck when no lag has changed for `stuck_seconds`."""
    seen: Lag = {}
    moved = time.monotonic()
    while True:
        try:
            lag = await _lag_now(settings)
        except KafkaError:  # the broker is away for a moment: nothing moves, and waiting goes on
            lag = seen
        progress(lag)
        if lag and not any(lag.values()):
            return
        if lag != seen:
            seen, moved = lag, time.monotonic()
        elif time.monotonic() - moved > stuck_seconds:
            left = ", ".join(f"{name} {count}" for name, count in lag.items() if count)
            raise Stuck(f"nothing has moved for {stuck_seconds:g} s; records left: {left}; look at the workers' logs")
        await asyncio.sleep(POLL_SECONDS)


async def _lag_now(settings: Settings) -> Lag:
    async with AsyncExitStack() as held:
        consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers, group_id=None)
        held.push_async_callback(consumer.stop)
        await consumer.start()
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
        held.push_async_callback(admin.close)
        await admin.start()
        return await _lag(settings, consumer, admin)


async def _lag(settings: Settings, consumer: Any, admin: Any) -> Lag:
    """Records left to METER, ACCOUNTS and LOADER; ends are asked for after positions, so nothing is missed."""
    metered = await _group_lag(consumer, admin, meter.GROUP, INTERACTIONS, settings.interaction_partitions)
    posted = await _group_lag(consumer, admin, accounts.GROUP, INBOX, settings.account_partitions)
    loaded = await asyncio.to_thread(_loaded, settings)
    table = topic_table(settings.interaction_partitions, settings.account_partitions)
    wanted = [(topic.name, p) for topic in table if topic.name in LOADED_TOPICS for p in range(topic.partitions)]
    ends = await _ends(consumer, wanted)
    unloaded = sum(end - loaded.get(where, 0) for where, end in ends.items())
    return {"meter": metered, "accounts": posted, "loader": unloaded}


def _loaded(settings: Settings) -> dict[tuple[str, int], int]:
    """LOADER's positions; none while ClickHouse is away, so that waiting goes on until it is back."""
    try:
        client = connect(settings.clickhouse_url)
        try:
            return loaded_offsets(client)
        finally:
            client.close()
    except (ClickHouseError, ConfigurationError):
        return {}


async def _group_lag(consumer: Any, admin: Any, group: str, topic: str, partitions: int) -> int:
    try:
        committed = await admin.list_consumer_group_offsets(group)
    except KafkaError:  # the coordinator is not there yet: everything is left
        committed = {}
    positions = {tp.partition: held.offset for tp, held in committed.items() if tp.topic == topic}
    ends = await _ends(consumer, [(topic, partition) for partition in range(partitions)])
    return sum(end - max(positions.get(partition, 0), 0) for (_, partition), end in ends.items())


async def _ends(consumer: Any, wanted: list[tuple[str, int]]) -> dict[tuple[str, int], int]:
    ends = await consumer.end_offsets([TopicPartition(*where) for where in wanted])
    return {(tp.topic, tp.partition): end for tp, end in ends.items()}
