"""How far each reader is behind the ends of what it reads, partition by partition."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from projections.connect import connect
from projections.loader.rows import LOADED_TOPICS
from projections.positions import loaded_offsets
from schemas.settings import Settings
from schemas.topics import ALERTS, INBOX, INTERACTIONS, MAIL_RETRIES, topic_table
from streams.durable.reader import GroupView
from streams.mailer import worker as mailer
from streams.workers import accounts, meter


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """`position` is the next offset the reader takes, `end` the one after the last record."""

    reader: str
    topic: str
    partition: int
    position: int
    end: int

    @property
    def lag(self) -> int:
        """Offsets left; the marks of transactions count, so a reader at rest may show one or two."""
        return max(self.end - self.position, 0)


async def lags(settings: Settings) -> list[PartitionLag]:
    """METER, ACCOUNTS, MAILER and LOADER, every partition; LOADER's if the address of ClickHouse is set."""
    table = topic_table(settings.interaction_partitions, settings.account_partitions)
    partitions = {topic.name: topic.partitions for topic in table}
    found = [
        *await _group(settings, "METER", meter.GROUP, INTERACTIONS, partitions),
        *await _group(settings, "ACCOUNTS", accounts.GROUP, INBOX, partitions),
        *await _group(settings, "MAILER", mailer.GROUP, ALERTS, partitions),
        *await _group(settings, "MAILER", mailer.GROUP, MAIL_RETRIES, partitions),
    ]
    if settings.clickhouse_url:
        loaded = await asyncio.to_thread(_loaded, settings)
        for topic in LOADED_TOPICS:
            found += await _loader(settings, topic, partitions[topic], loaded)
    return found


async def _group(
    settings: Settings, reader: str, group: str, topic: str, partitions: Mapping[str, int]
) -> list[PartitionLag]:
    async with AsyncExitStack() as held:
        view = GroupView(settings.kafka, group, topic)
        held.push_async_callback(view.stop)
        await view.start()
        numbers = range(partitions[topic])
        committed = {number: await view.committed(number) or 0 for number in numbers}
        ends = await view.ends(numbers)
    return [PartitionLag(reader, topic, number, committed[number], ends[number]) for number in numbers]


async def _loader(
    settings: Settings, topic: str, partitions: int, loaded: Mapping[tuple[str, int], int]
) -> list[PartitionLag]:
    async with AsyncExitStack() as held:
        view = GroupView(settings.kafka, "quarterhour-lag", topic)
        held.push_async_callback(view.stop)
        await view.start()
        ends = await view.ends(range(partitions))
    return [PartitionLag("LOADER", topic, n, loaded.get((topic, n), 0), end) for n, end in sorted(ends.items())]


def _loaded(settings: Settings) -> dict[tuple[str, int], int]:
    client = connect(settings.clickhouse_url)
    try:
        return loaded_offsets(client)
    finally:
        client.close()
