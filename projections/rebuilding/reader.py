"""A reader: a process that loads one lane. `python -m projections.rebuilding.reader`, with the settings of LOADER.

It gets its order as one line of JSON on its standard input, tells how far it is as lines of JSON, and lives no longer
than that input is open: when the rebuild that started it dies, it dies too, as if by -9, which harms nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec
from clickhouse_connect.driver.exceptions import Error as ClickHouseError
from msgspec import Struct

from projections.connect import connect
from projections.loader.collecting import collecting_seldom
from projections.loader.journal import Lane
from projections.loader.kafka import KafkaSource
from projections.loader.loading import LoadPolicy
from projections.loader.records import Source, TopicPartition
from projections.loader.rows import LOADED_TOPICS
from projections.rebuilding.limited import LaneLoader
from schemas.errors import QuarterhourError
from schemas.settings import Settings

_TOLD_EVERY_SECONDS = 0.1
_LONGEST_FAULT = 2_000

MakeSource = Callable[[], AbstractAsyncContextManager[Source]]


class Order(Struct, frozen=True):
    """What a reader is to load: a lane of the database of `url`, its partitions with where they end."""

    url: str
    lane: int
    places: list[tuple[str, int]]
    ends: list[tuple[str, int, int]]
    policy: LoadPolicy


class Told(Struct, frozen=True, omit_defaults=True):
    """How far a reader is, in records of its lane; `loaded` by itself; the last line has `ended` or `fault`."""

    done: int = 0
    total: int = 0
    loaded: int = 0
    ended: bool = False
    fault: str = ""


def read_as_told(make_source: MakeSource) -> int:
    """Load what the standard input says; the exit code."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        with collecting_seldom():
            asyncio.run(_read(order, make_source))
    except (QuarterhourError, ClickHouseError) as error:
        _tell(Told(fault=str(error)[:_LONGEST_FAULT]))
        return 1
    return 0


async def _read(order: Order, make_source: MakeSource) -> None:
    lane = Lane(order.lane, frozenset(TopicPartition(*place) for place in order.places))
    ends = {TopicPartition(topic, partition): end for topic, partition, end in order.ends}
    told_at = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at > _TOLD_EVERY_SECONDS:
            told_at = time.monotonic()
            _tell(Told(done, total))

    client = connect(order.url)
    try:
        async with make_source() as source:
            loader = LaneLoader(client, source, lane, ends, order.policy, tell)
            await loader.start()
            await loader.run()
    finally:
        client.close()
    total = sum(ends.values())
    _tell(Told(total, total, loader.records_loaded, ended=True))


def _tell(told: Told) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.buffer.flush()


def _end_with_input() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(read_as_told(lambda: KafkaSource(Settings().kafka, LOADED_TOPICS)))
