"""How Faust is fed: one message a run of records (`batch`), or one a record (`stock`), committed records only.

Faust's cost of about 100 µs is then paid once a run instead of once a record. Touches private parts of faust-streaming
0.15.3, hence the exact version; the stock feed stays selectable (`QUARTERHOUR_TRANSPORT=stock`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP, ConsumerMessage

from streams.durable.machine import RawRecord
from streams.durable.reader import ISOLATION
from streams.durable.runs import RUNS_A_TIME, give_runs


class _Thread(AIOKafkaConsumerThread):  # type: ignore[misc]  # faust ships no types we can subclass strictly
    """Faust's consumer thread; a commit that comes too late is no crash."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = ISOLATION  # Faust reads what transactions aborted
        return consumer

    async def _commit(self, offsets: Mapping[Any, int]) -> bool:
        """Commit; False when the partitions are no longer ours, which the next owner makes good."""
        ours = self.assignment()
        wanted = {
            TopicPartition(tp.topic, tp.partition): OffsetAndMetadata(o, "") for tp, o in offsets.items() if tp in ours
        }
        if not wanted:
            return False
        try:
            await self._ensure_consumer().commit(wanted)
        except (CommitFailedError, IllegalStateError):
            return False
        return True


class _RunThread(_Thread):
    """The same, giving runs instead of records."""

    async def on_start(self) -> None:
        """See faust: the consumer is subscribed later, so nothing was fetched yet."""
        await super().on_start()
        give_runs(self._ensure_consumer())

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109 - faust's signature
        max_records: int | None = None,
    ) -> Any:
        return await super()._fetch_records(consumer, active_partitions, timeout, RUNS_A_TIME)


class StockConsumer(Consumer):  # type: ignore[misc]
    """Faust's consumer, on our thread."""

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class BatchConsumer(StockConsumer):
    """Yields runs of records instead of records."""

    def _new_consumer_thread(self) -> _Thread:
        return _RunThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[Any, Any]]:  # noqa: ASYNC109 - faust's signature
        """Fetch once; one message for each run of a partition's records."""
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if not records or self.should_stop:
            return
        for tp, runs in records.items():
            for run in runs:
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    return
                if active is None or tp in active or tp in self._buffered_partitions:
                    yield TP(tp.topic, tp.partition), self._run_message(tp, run)

    def _run_message(self, tp: Any, run: list[RawRecord]) -> Any:
        last = run[-1]
        return ConsumerMessage(
            tp.topic, tp.partition, last.offset, last.timestamp_ms / 1000.0, 1, (), None, run,
            None, 0, 0, TP(tp.topic, tp.partition), generation_id=self.app.consumer_generation_id,
        )  # fmt: skip


class StockTransport(Transport):  # type: ignore[misc]
    """Faust's Kafka transport, one message a record."""

    Consumer = StockConsumer


class BatchTransport(Transport):  # type: ignore[misc]
    """Faust's Kafka transport, one message a run of records."""

    Consumer = BatchConsumer
