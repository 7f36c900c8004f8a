"""Waiting until everything published has gone all the way into ClickHouse.

METER and ACCOUNTS are done when their committed offsets, which follow durable positions, reach the ends of their
topics; LOADER when its positions do. In that order, because each may add to what the next has to read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import Error as ClickHouseError

from projections.connect import connect
from projections.loader.rows import LOADED_TOPICS
from projections.positions import loaded_offsets
from schemas.errors import ConfigurationError, QuarterhourError
from schemas.settings import Settings
from schemas.topics import INBOX, INTERACTIONS, LEDGER, topic_table
from streams.durable.reader import GroupView
from streams.workers import accounts, meter

Lag = Mapping[str, int]
POLL_SECONDS = 0.2


class Stuck(QuarterhourError):
    """Nothing has moved for too long; the message says what is left where, and where to look."""


async def reach(settings: Settings, seconds: float = 60) -> None:
    """Return when everything that is in the topics now has gone all the way into ClickHouse; Stuck after `seconds`.

    Others may go on publishing: only what was there when it was asked for is waited for.
    """
    table = topic_table(settings.interaction_partitions, settings.account_partitions)
    partitions = {topic.name: topic.partitions for topic in table}
    until = time.monotonic() + seconds
    async with _Broker(settings) as broker:
        views = dict(zip(LOADED_TOPICS, broker.loaded, strict=True))

        async def ends(topic: str) -> dict[tuple[str, int], int]:
            found = await views[topic].ends(range(partitions[topic]))
            return {(topic, partition): end for partition, end in found.items()}

        wanted = await ends(INTERACTIONS) | await ends(INBOX)
        for partition in range(settings.account_partitions):
            while (await broker.accounts.committed(partition) or 0) < wanted[INBOX, partition]:
                await _wait(until, f"ACCOUNTS has not taken all of {INBOX}/{partition}")
        wanted |= await ends(LEDGER)
        while True:
            loaded = await asyncio.to_thread(_loaded, settings)
            behind = [place for place, end in wanted.items() if loaded.get(place, 0) < end]
            if not behind:
                return
            await _wait(until, f"LOADER has not loaded all of {behind[0][0]}/{behind[0][1]}")


async def _wait(until: float, what: str) -> None:
    if time.monotonic() > until:
        raise Stuck(f"{what}; `quarterhour lag` shows how far everything is")
    await asyncio.sleep(POLL_SECONDS)


async def drain(
    settings: Settings, progress: Callable[[Lag], None] = lambda _: None, stuck_seconds: float = 120
) -> None:
    """Return when nothing is left anywhere; Stuck when no lag has changed for `stuck_seconds`."""
    seen: Lag = {}
    moved = time.monotonic()
    async with AsyncExitStack() as held:
        broker: _Broker | None = None
        while True:
            try:
                if broker is None:
                    broker = await held.enter_async_context(_Broker(settings))
                lag = await _lag(settings, broker)
            except (KafkaError, TimeoutError):  # the broker is away for a moment: nothing moves, and waiting goes on
                await held.aclose()
                broker, lag = None, seen
            progress(lag)
            if lag and not any(lag.values()):
                return
            if lag != seen:
                seen, moved = lag, time.monotonic()
            elif time.monotonic() - moved > stuck_seconds:
                left = ", ".join(f"{name} {count:,}" for name, count in lag.items() if count) or "unknown"
                raise Stuck(f"nothing has moved for {stuck_seconds:g} s; records left: {left}; see the workers' logs")
            await asyncio.sleep(POLL_SECONDS)


class _Broker:
    """What the broker is asked while waiting: the two groups' commits, and where the topics end."""

    def __init__(self, settings: Settings) -> None:
        kafka = settings.kafka
        self.meter = GroupView(kafka, meter.GROUP, INTERACTIONS)
        self.accounts = GroupView(kafka, accounts.GROUP, INBOX)
        self.loaded = [GroupView(kafka, "quarterhour-drain", topic) for topic in LOADED_TOPICS]
        self._started = AsyncExitStack()

    async def __aenter__(self) -> _Broker:
        try:
            for view in (self.meter, self.accounts, *self.loaded):
                self._started.push_async_callback(view.stop)
                await view.start()
        except BaseException:  # the broker went away in the middle: what has started is not left behind
            await self._started.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._started.aclose()


async def _lag(settings: Settings, broker: _Broker) -> Lag:
    """Records left to METER, ACCOUNTS and LOADER; ends are asked for after positions, so nothing is missed."""
    metered = await _group_lag(broker.meter, settings.interaction_partitions)
    posted = await _group_lag(broker.accounts, settings.account_partitions)
    loaded = await asyncio.to_thread(_loaded, settings)
    table = topic_table(settings.interaction_partitions, settings.account_partitions)
    partitions = {topic.name: topic.partitions for topic in table}
    unloaded = 0
    for topic, view in zip(LOADED_TOPICS, broker.loaded, strict=True):
        ends = await view.ends(range(partitions[topic]))
        unloaded += sum(max(end - loaded.get((topic, partition), 0), 0) for partition, end in ends.items())
    return {"meter": metered, "accounts": posted, "loader": unloaded}


async def _group_lag(view: GroupView, partitions: int) -> int:
    committed = {partition: await view.committed(partition) or 0 for partition in range(partitions)}
    ends = await view.ends(range(partitions))
    # A throw-away broker may tell an end that is one batch short.
    return sum(max(end - committed[partition], 0) for partition, end in ends.items())


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
