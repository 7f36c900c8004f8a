"""A backend without Kafka, and a producer without a broker: what the tests of the edges stand on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from schemas.routing import partition_of
from schemas.topics import INTERACTIONS
from schemas.traces import Header, TraceContext
from streams.gateway.keys import IssuedKey, Keys, issue
from streams.gateway.publisher import Delivered, Receipt

PARTITIONS = 4


class MemoryBackend:
    """Acknowledges at once, unless told to `hold`, `fail` or be without room."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.logs: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self.traces: list[TraceContext | None] = []
        self.held: list[tuple[Receipt, Delivered]] | None = None
        self.fail: Exception | None = None
        self.connected = True
        self.room = True
        self.stalled = 0.0
        self.keys_age = 0.0

    async def open(self) -> None:
        """Nothing to connect."""

    async def close(self) -> None:
        """Nothing to let go."""

    def new_key(self, workspace: str) -> IssuedKey:
        """A key in force."""
        issued = issue(workspace, "test", "tests", 1)
        self.keys.by_id[issued.key.key_id] = issued.key
        return issued

    def offer(self, key: str, value: bytes, trace: TraceContext | None = None) -> Receipt | None:
        """Append, and acknowledge as told."""
        if not self.room:
            return None
        receipt: Receipt = asyncio.get_running_loop().create_future()
        partition = partition_of(key, PARTITIONS)
        if self.fail is not None:
            receipt.set_exception(self.fail)
            return receipt
        self.logs[partition].append(value)
        self.traces.append(trace)
        delivered = Delivered(INTERACTIONS, partition, len(self.logs[partition]) - 1)
        if self.held is None:
            receipt.set_result(delivered)
        else:
            self.held.append((receipt, delivered))
        return receipt

    def release(self) -> None:
        """Acknowledge what is held."""
        held, self.held = self.held or [], None
        for receipt, delivered in held:
            receipt.set_result(delivered)

    def is_connected(self) -> bool:
        """As told."""
        return self.connected

    def stalled_seconds(self) -> float:
        """As told."""
        return self.stalled

    def keys_age_seconds(self) -> float:
        """As told."""
        return self.keys_age

    def values(self) -> list[bytes]:
        """Everything published."""
        return [value for log in self.logs for value in log]


class Sent(NamedTuple):
    """One record that a broker took."""

    producer: int
    key: bytes
    value: bytes
    headers: tuple[Header, ...] = ()


class FakeBroker:
    """Logs of one topic, and producers for it; `faults` are raised by the next sends, one each.

    A fault wrapped in `AfterWriting` is raised once the records stand in the log, as when an answer is lost.
    """

    def __init__(self, partitions: int = 2, most_records: int = 10) -> None:
        self.logs: list[list[Sent]] = [[] for _ in range(partitions)]
        self.faults: list[Exception] = []
        self.producers = 0
        self.most_records = most_records
        self.gate = asyncio.Event()
        self.gate.set()

    def producer(self) -> Any:
        """A producer that is not started."""
        self.producers += 1
        return FakeProducer(self, self.producers)


class AfterWriting(Exception):
    """Carries the fault to raise after the records were written."""

    def __init__(self, fault: Exception) -> None:
        super().__init__(str(fault))
        self.fault = fault


class _Batch:
    def __init__(self, most: int) -> None:
        self.records: list[tuple[bytes, bytes, tuple[Header, ...]]] = []
        self._most = most

    def append(self, *, key: bytes, value: bytes, timestamp: int | None, headers: Sequence[Header]) -> object:
        """None when full."""
        if len(self.records) >= self._most:
            return None
        self.records.append((key, value, tuple(headers)))
        return self


class _Metadata(NamedTuple):
    offset: int


class FakeProducer:
    """The part of aiokafka's producer that a publisher uses."""

    def __init__(self, broker: FakeBroker, number: int) -> None:
        self._broker, self._number = broker, number
        self._message_accumulator = self

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect."""

    def fail_all(self, error: Exception) -> None:
        """Nothing is held here."""

    async def partitions_for(self, topic: str) -> set[int]:
        """All."""
        return set(range(len(self._broker.logs)))

    def create_batch(self) -> _Batch:
        """Empty."""
        return _Batch(self._broker.most_records)

    async def send_batch(self, batch: _Batch, topic: str, *, partition: int) -> asyncio.Future[_Metadata]:
        """Acknowledged once the gate is open."""
        sent: asyncio.Future[_Metadata] = asyncio.get_running_loop().create_future()
        asyncio.create_task(self._write(batch.records, partition, sent))  # noqa: RUF006 - the future holds on to it
        return sent

    async def _write(
        self,
        records: Sequence[tuple[bytes, bytes, tuple[Header, ...]]],
        partition: int,
        sent: asyncio.Future[_Metadata],
    ) -> None:
        await self._broker.gate.wait()
        fault = self._broker.faults.pop(0) if self._broker.faults else None
        log = self._broker.logs[partition]
        base = len(log)
        if fault is None or isinstance(fault, AfterWriting):
            log.extend(Sent(self._number, *record) for record in records)
        if sent.done():
            return
        if fault is None:
            sent.set_result(_Metadata(base))
        else:
            sent.set_exception(fault.fault if isinstance(fault, AfterWriting) else fault)


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a condition holds; TimeoutError if it does not come to."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.005)
