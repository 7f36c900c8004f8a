"""Many open keys, made from events: for memory, for cost an event, and for recovery."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.instants import MICROS_PER_SECOND, text_of
from schemas.interactions import MESSAGE
from schemas.routing import interaction_key, partition_of
from scripts.bench.workload import FIRST_US
from streams.durable.machine import RawRecord
from streams.metering.meter import MeterPartition
from streams.metering.policy import MeterPolicy

BATCH = 5_000
_APPEND_MS = FIRST_US // 1000 + 400 * 24 * 3600 * 1000  # long after every event: none lies in the future
_TIMES = [text_of(FIRST_US + second * MICROS_PER_SECOND) for second in range(600)]


def event(key: int, number: int) -> bytes:
    """The event of a number of a key, a second after the one before."""
    return (
        f'{{"specversion":"1.0","id":"{key:016x}-{number:016x}","source":"/gateways/web-1","type":"{MESSAGE}",'
        f'"time":"{_TIMES[number % 600]}","data":{{"workspace":"workspace-{key % 20:02d}","app":"app-{key % 3}",'
        f'"channel":"web","user":"user-{key:08d}","direction":"inbound","chars":42}}}}'
    ).encode()


def partition(key: int, partitions: int) -> int:
    """The partition of a key's events."""
    return partition_of(
        interaction_key(f"workspace-{key % 20:02d}", f"app-{key % 3}", "web", f"user-{key:08d}"), partitions
    )


def batches(events: Iterator[bytes], first: int = 0) -> Iterator[list[RawRecord]]:
    """Events as records, a batch at a time."""
    batch: list[RawRecord] = []
    for offset, value in enumerate(events, first):
        batch.append(RawRecord(offset, _APPEND_MS, None, value))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def opened(keys: int, events_a_key: int) -> MeterPartition:
    """One partition with so many open keys."""
    machine = MeterPartition(0, MeterPolicy(interaction_partitions=1))
    for batch in batches(event(key, number) for number in range(events_a_key) for key in range(keys)):
        machine.step(batch)
        machine.take_changes()
    return machine
