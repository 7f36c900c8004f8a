"""Following a compacted topic whole: every record from its beginning, then what comes, and how current that is.

Leaves to others: what is made of the records (`apply`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.admission import or_refused, refusal
from schemas.kafka import Address, client_arguments
from streams.gateway.errors import BrokerAway

log = logging.getLogger(__name__)
_POLL_MS = 250
_AGAIN_SECONDS = 0.5
Apply = Callable[[bytes, bytes | None, int, int], None]
"""Told key, value (None: a tombstone), partition and offset of each record."""


class Follower:
    """See the module. `start` before use, `close` after; one event loop's."""

    def __init__(
        self, kafka: Address, topic: str, apply: Apply, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kafka, self._topic, self._apply, self._clock = kafka, topic, apply, clock
        self._current: dict[int, float] = {}
        self._partitions = 0
        self._all_read = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, timeout_seconds: float = 30) -> None:
        """Read to the end, then go on in the background; raises BrokerAway after that time, or when refused."""
        if (found := await refusal(self._kafka)).certain:
            raise BrokerAway(found.words)
        self.start_soon()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._all_read.wait()
        except TimeoutError:
            await self.close()
            away = (
                f"the topic {self._topic} could not be read at {self._kafka} within {timeout_seconds:g} s: start "
                "Kafka with `quarterhour up`, or create the topics with `quarterhour prepare`"
            )
            raise BrokerAway(await or_refused(self._kafka, away)) from None
        except BaseException:
            await self.close()
            raise

    def start_soon(self) -> None:
        """Begin in the background, whether the broker is there yet or not."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def staleness_seconds(self) -> float:
        """Seconds since all partitions were last known to be read to their ends; infinite before the first time."""
        if not self._partitions or len(self._current) < self._partitions:
            return math.inf
        return max(0.0, self._clock() - min(self._current.values()))

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except (KafkaError, OSError) as error:
                log.warning("following %s again: %s", self._topic, await or_refused(self._kafka, repr(error)))
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _follow(self) -> None:
        consumer: Any = AIOKafkaConsumer(
            self._topic,  # without a group: all partitions
            **client_arguments(self._kafka),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # a topic made anew is read anew
            fetch_max_wait_ms=_POLL_MS,  # the broker tells the end as often, also where nothing comes
        )
        try:
            await consumer.start()
            places = sorted(consumer.assignment())
            if not places:
                raise KafkaError(f"there is no topic {self._topic}")
            self._partitions = len(places)
            await self._poll(consumer, places)
        finally:
            with contextlib.suppress(KafkaError, OSError):
                await consumer.stop()

    async def _poll(self, consumer: Any, places: list[TopicPartition]) -> None:
        told: dict[int, int | None] = {}
        looked = self._clock()
        while True:
            found = await consumer.getmany(timeout_ms=_POLL_MS)
            for records in found.values():
                for record in records:
                    self._apply(record.key or b"", record.value, record.partition, record.offset)
            now = self._clock()
            for place in places:
                heard, end = consumer.last_poll_timestamp(place), consumer.highwater(place)
                if heard is None or end is None or heard == told.get(place.partition):
                    continue
                if await consumer.position(place) >= end:
                    told[place.partition] = heard
                    self._current[place.partition] = looked  # the broker's answer is younger than the last look
            looked = now
            if not self._all_read.is_set() and len(self._current) == len(places):
                self._all_read.set()
