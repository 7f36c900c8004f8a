"""Publishing interactions: in order for each key, acknowledged by all in-sync replicas, in bounded memory.

One lane a partition, one batch in flight a lane: what comes meanwhile is the next batch, so batches grow with the load
and order holds over retries. Leaves to others: what an event is (`schemas.interactions`), and who may publish it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError

from schemas.kafka import Address
from schemas.routing import partition_of
from schemas.topics import INTERACTIONS
from schemas.traces import Header, TraceContext
from streams.durable.producer import new_producer
from streams.gateway.buffer import ByteBudget
from streams.gateway.connection import REFUSALS, RETRY_SECONDS, Connection
from streams.gateway.errors import Closed, NotDelivered, Refused

log = logging.getLogger(__name__)
_OVERHEAD_BYTES = 128
_KNOWN_KEYS = 50_000
_SWEEP_SECONDS = 0.25
_NO_HEADERS: list[Header] = []


class Delivered(NamedTuple):
    """Where an acknowledged event stands."""

    topic: str
    partition: int
    offset: int


Receipt = asyncio.Future[Delivered]
"""Await it for the broker's acknowledgement; raises NotDelivered or Refused."""


@dataclass(frozen=True, slots=True)
class PublisherPolicy:
    """`buffer_bytes`: what may be unacknowledged; `delivery_seconds`: how long an event is tried."""

    buffer_bytes: int = 32 * 1024 * 1024
    delivery_seconds: float = 120.0


class _Event:
    __slots__ = ("headers", "key", "receipt", "since", "size", "value")

    def __init__(
        self, key: bytes, value: bytes, size: int, receipt: Receipt, since: float, headers: list[Header]
    ) -> None:
        self.key, self.value, self.size, self.receipt, self.since = key, value, size, receipt, since
        self.headers = headers


class _Lane:
    """What waits for one partition, and what is in flight to it."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.waiting: deque[_Event] = deque()
        self.in_flight: list[_Event] = []
        self.wake = asyncio.Event()

    def oldest(self) -> float | None:
        """Since when the oldest unacknowledged event waits."""
        first = self.in_flight or self.waiting
        return first[0].since if first else None


class Publisher:
    """See the module. `start` before use, `close` after; one event loop's."""

    def __init__(
        self,
        kafka: Address,
        client_id: str,
        policy: PublisherPolicy = PublisherPolicy(),
        *,
        topic: str = INTERACTIONS,
        throwaway: bool = False,
        make_producer: Callable[[], Any] | None = None,
    ) -> None:
        self.topic = topic
        self.policy = policy
        self.budget = ByteBudget(policy.buffer_bytes)
        make = make_producer or (lambda: new_producer(kafka, client_id, throwaway=throwaway))
        self._connection = Connection(make, kafka)
        self._lanes: list[_Lane] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._lane_of: dict[str, _Lane] = {}
        self._unsettled = 0
        self._settled = asyncio.Event()
        self._failures: list[Exception] = []
        self._failed = 0

    async def start(self) -> None:
        """Connect; raises BrokerAway."""
        partitions = await self._connection.open(self.topic)
        self._lanes = [_Lane(partition) for partition in range(partitions)]
        self._tasks = [asyncio.create_task(self._run(lane)) for lane in self._lanes]
        self._tasks.append(asyncio.create_task(self._sweep()))

    async def close(self) -> None:
        """Wait until everything is settled, for `delivery_seconds` at most, and disconnect."""
        try:
            if self._unsettled:
                await self._all_settled()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for lane in self._lanes:
                for event in (*lane.in_flight, *lane.waiting):
                    self._fail(event, NotDelivered("the publisher was closed before the broker acknowledged the event"))
                    self._free(event)
            self._lanes, self._tasks = [], []
            self._lane_of.clear()
            await self._connection.close()

    async def publish(self, key: str, value: bytes, trace: TraceContext | None = None) -> Receipt:
        """Hand over one event, waiting for room in the buffer; the receipt is for its acknowledgement."""
        size = len(value) + len(key) + _OVERHEAD_BYTES
        if not self.budget.try_take(size):
            await self.budget.take(size)
        return self._enqueue(key, value, size, trace)

    def offer(self, key: str, value: bytes, trace: TraceContext | None = None) -> Receipt | None:
        """The same without waiting; None when the buffer has no room."""
        size = len(value) + len(key) + _OVERHEAD_BYTES
        return self._enqueue(key, value, size, trace) if self.budget.try_take(size) else None

    async def flush(self) -> None:
        """Wait until everything handed over is settled; raises the first failure since the last flush."""
        if self._unsettled:
            await self._all_settled()
        failures, failed = self._failures, self._failed
        self._failures, self._failed = [], 0
        if failures:
            raise type(failures[0])(f"{failed} events were not delivered; the first: {failures[0]}")

    @property
    def partitions(self) -> int:
        """Of the topic, as the broker told at the start."""
        return len(self._lanes)

    def stalled_seconds(self) -> float:
        """How long the oldest unacknowledged event has waited; 0.0 when all are acknowledged."""
        oldest = [since for lane in self._lanes if (since := lane.oldest()) is not None]
        return max(0.0, time.monotonic() - min(oldest)) if oldest else 0.0

    def _enqueue(self, key: str, value: bytes, size: int, trace: TraceContext | None) -> Receipt:
        lane = self._lane_of.get(key)
        if lane is None:
            if not self._lanes:
                self.budget.give_back(size)
                raise Closed("the publisher is not open: use it inside `async with`")
            lane = self._lanes[partition_of(key, len(self._lanes))]
            if len(self._lane_of) >= _KNOWN_KEYS:
                self._lane_of.clear()
            self._lane_of[key] = lane
        receipt: Receipt = asyncio.get_running_loop().create_future()
        headers = [trace.header] if trace is not None else _NO_HEADERS
        lane.waiting.append(_Event(key.encode(), value, size, receipt, time.monotonic(), headers))
        self._unsettled += 1
        lane.wake.set()
        return receipt

    async def _run(self, lane: _Lane) -> None:
        while True:
            await lane.wake.wait()
            lane.wake.clear()
            while lane.waiting:
                await self._send_next(lane)

    async def _send_next(self, lane: _Lane) -> None:
        batch = None
        while batch is None:
            generation = self._connection.generation
            producer = self._connection.producer
            batch = producer.create_batch()
            self._fill(lane, batch)
            if not lane.in_flight:
                return
            try:
                sent = await producer.send_batch(batch, self.topic, partition=lane.partition)
                base = (await sent).offset
            except REFUSALS as error:
                self._settle_failed(lane, Refused(f"the broker refused the event for good: {error}"))
            except (KafkaError, OSError, TimeoutError) as error:
                await self._connection.renew(generation, error)
                await asyncio.sleep(RETRY_SECONDS)
                batch = None
            except Exception as error:  # a fault of ours or of the client's: told, and the lane goes on
                log.exception("a batch was not sent")
                self._settle_failed(lane, NotDelivered(f"the event was not sent: {error!r}"))
            else:
                self._settle(lane, base)

    def _fill(self, lane: _Lane, batch: Any) -> None:
        """Fill a batch: what is in flight once more, or else what waits and is still wanted."""
        if lane.in_flight:
            for event in lane.in_flight:
                batch.append(key=event.key, value=event.value, timestamp=None, headers=event.headers)
            return
        waiting, taken = lane.waiting, lane.in_flight
        while waiting:
            event = waiting[0]
            if not event.receipt.done():
                if batch.append(key=event.key, value=event.value, timestamp=None, headers=event.headers) is None:
                    break
                taken.append(event)
            else:  # given up
                self._free(event)
            waiting.popleft()

    def _settle(self, lane: _Lane, base: int) -> None:
        events, lane.in_flight = lane.in_flight, []
        topic, partition = self.topic, lane.partition
        for place, event in enumerate(events):
            if not event.receipt.done():
                event.receipt.set_result(Delivered(topic, partition, base + place))
            self._free(event)

    def _settle_failed(self, lane: _Lane, error: Exception) -> None:
        events, lane.in_flight = lane.in_flight, []
        for event in events:
            self._fail(event, error)
            self._free(event)

    def _fail(self, event: _Event, error: Exception) -> None:
        if not event.receipt.done():
            event.receipt.set_exception(error)
            event.receipt.exception()  # `flush` tells of it too
            self._failed += 1
            if not self._failures:
                self._failures.append(error)

    def _free(self, event: _Event) -> None:
        self.budget.give_back(event.size)
        self._unsettled -= 1
        if self._unsettled == 0:
            self._settled.set()

    async def _all_settled(self) -> None:
        """Acknowledged, refused or given up; what was given up in flight may linger until the broker is back."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.policy.delivery_seconds + 2 * _SWEEP_SECONDS):
                while self._unsettled:
                    self._settled.clear()
                    await self._settled.wait()

    async def _sweep(self) -> None:
        """Give up what has waited too long. In flight it keeps its bytes until the producer lets go of it."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            before = time.monotonic() - self.policy.delivery_seconds
            for lane in self._lanes:
                for event in lane.in_flight:
                    if event.since < before:
                        self._fail(event, _too_late(self.policy))
                while lane.waiting and lane.waiting[0].since < before:
                    event = lane.waiting.popleft()
                    self._fail(event, _too_late(self.policy))
                    self._free(event)


def _too_late(policy: PublisherPolicy) -> NotDelivered:
    return NotDelivered(
        f"the broker did not acknowledge the event within {policy.delivery_seconds:g} s; it may stand in the topic all "
        "the same: publish it again with the same source and id, it counts once (U7)"
    )
