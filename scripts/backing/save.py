"""Writing a backup of a Kafka, while the pipeline runs or stands."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from schemas.kafka import Address
from schemas.settings import Settings
from schemas.topics import topic_table
from scripts.backing.format import (
    ORDER,
    BackupFault,
    Manifest,
    Saved,
    SavedPartition,
    digest_of,
    write_manifest,
)
from streams.durable.reader import PartitionReader

COMPRESSION = 4
AT_ONCE = 4
Tell = Callable[[int], None]
"""Told how many records more have been written."""


async def save(settings: Settings, folder: Path, tell: Tell = lambda _: None) -> Manifest:
    """Back up every topic of `ORDER` into a new or empty folder. Raises BackupFault."""
    await asyncio.to_thread(_make_empty, folder)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    table = topic_table(settings.interaction_partitions, settings.account_partitions)
    counts = {topic.name: topic.partitions for topic in table}
    partitions: list[SavedPartition] = []
    for name in ORDER:  # one after the other; of one topic no partition rests on another
        for first in range(0, counts[name], AT_ONCE):
            partitions += await asyncio.gather(
                *(
                    _save_partition(settings.kafka, folder, name, partition, tell)
                    for partition in range(first, min(first + AT_ONCE, counts[name]))
                )
            )
    found = Manifest(1, at, settings.interaction_partitions, settings.account_partitions, tuple(partitions))
    write_manifest(folder, found)
    return found


def _make_empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BackupFault(f"{folder} is not empty: name a new folder for each backup")


async def _save_partition(kafka: Address, folder: Path, topic: str, partition: int, tell: Tell) -> SavedPartition:
    encode = msgspec.json.Encoder().encode
    name, count = f"{topic}-{partition}.jsonl.gz", 0
    async with PartitionReader(kafka, topic, partition) as reader:
        first, end = await reader.beginning(), await reader.end()
        with gzip.open(folder / name, "wb", COMPRESSION) as file:
            async for run in reader.read(first, end):
                for record in run:
                    headers = tuple(record.headers or ())
                    kept = Saved(record.offset, record.timestamp_ms, record.key, record.value, headers)
                    file.write(encode(kept) + b"\n")
                count += len(run)
                tell(len(run))
    return SavedPartition(topic, partition, count, end, digest_of(folder / name))
