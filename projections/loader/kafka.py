"""Kafka as the loader's source: aiokafka, partitions assigned by hand, no group, no committed offsets."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import aiokafka
import aiokafka.conn
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from projections.loader.records import Record, Run, Slice, SourceFault, TopicPartition
from schemas.admission import or_refused
from schemas.health import answered
from schemas.kafka import Address, client_arguments
from schemas.topics import topic_table

_READ_SECONDS = 30.0
_RUN_RECORDS = 500
COMPACTED = frozenset(topic.name for topic in topic_table() if topic.config.get("cleanup.policy") == "compact")

# At aiokafka's 64 KiB a connection stops and starts reading some thirty times a fetch, three system calls each.
aiokafka.conn.READER_LIMIT = 4 * 1024 * 1024


class _Runs(PartitionRecords):  # type: ignore[misc]  # aiokafka ships no types
    """What a fetch brought of a partition; iterating gives lists of our records, made at once: aiokafka's own cost as
    much as all the rest."""

    def __next__(self) -> list[Record]:
        run = list(islice(self._records_iterator, _RUN_RECORDS))
        if not run:
            raise StopIteration
        return run

    def _consumer_record(self, place: Any, record: Any) -> Record:
        return Record(place.topic, place.partition, record.offset, record.timestamp, record.value, record.headers)


class _Fetched(OrderedDict[Any, Any]):
    """What the fetcher holds by partition, a result or an error; results are made to give runs of our records."""

    def __setitem__(self, place: Any, result: Any) -> None:
        if hasattr(result, "_partition_records"):
            result._partition_records.__class__ = _Runs
        super().__setitem__(place, result)


class KafkaSource:
    """All partitions of the given topics. Use as an async context manager."""

    def __init__(self, kafka: Address, topics: Sequence[str]) -> None:
        self._topics = topics
        self._kafka = kafka
        self._consumer = aiokafka.AIOKafkaConsumer(
            **client_arguments(kafka),
            client_id="quarterhour-loader",
            # ClickHouse says where to go on (law 8), so there is no group and nothing to commit.
            group_id=None,
            enable_auto_commit=False,
            # An offset the broker does not have is a fault to be told, never a jump.
            auto_offset_reset="none",
            # A record of an aborted transaction never was.
            isolation_level="read_committed",
            # Large fetches: a rebuild reads everything there is.
            fetch_max_bytes=32 * 1024 * 1024,
            max_partition_fetch_bytes=4 * 1024 * 1024,
            fetch_max_wait_ms=100,
            check_crcs=True,
        )

    async def __aenter__(self) -> KafkaSource:
        try:
            await self._consumer.start()
            self._consumer._fetcher._records = _Fetched()
        except KafkaError as error:
            raise SourceFault(await or_refused(self._kafka, f"no Kafka at {self._kafka}: {error}")) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def partitions(self) -> Sequence[TopicPartition]:
        """See `Source.partitions`."""
        # The consumer's own metadata holds only what it is assigned, so the topics are asked for by name.
        admin = AIOKafkaAdminClient(**client_arguments(self._kafka))
        try:
            await admin.start()
            described = await admin.describe_topics(list(self._topics))
        except KafkaError as error:
            raise SourceFault(f"no Kafka at {self._kafka}: {error}") from error
        finally:
            await admin.close()
        partitions = {
            topic["topic"]: sorted(partition["partition"] for partition in topic["partitions"]) for topic in described
        }
        missing = [topic for topic in self._topics if not partitions.get(topic)]
        if missing:
            raise SourceFault(f"Kafka at {self._kafka} has no topic {', '.join(missing)}")
        return [TopicPartition(topic, partition) for topic in self._topics for partition in partitions[topic]]

    async def read(self, wanted: Slice) -> Sequence[Record]:
        """See `Source.read`."""
        place = aiokafka.TopicPartition(wanted.topic, wanted.partition)
        self._consumer.assign([place])
        self._consumer.seek(place, wanted.first)
        records: list[Record] = []
        while not records or records[-1].offset < wanted.next - 1:
            runs = await self._getmany(20_000, _READ_SECONDS)
            found = [record for run in runs for record in run.records]
            if not found:
                raise SourceFault(f"{wanted}: Kafka gave no record for {_READ_SECONDS:.0f} s; is the log shorter now?")
            records += [record for record in found if record.offset < wanted.next]
            if found[-1].offset >= wanted.next:
                break
        # Of a compacted topic the records may be gone that newer ones have replaced since.
        if wanted.topic not in COMPACTED and (not records or records[-1].offset != wanted.next - 1):
            raise SourceFault(f"{wanted}: a record that was loaded in part is gone from Kafka")
        return records

    async def start(self, positions: Mapping[TopicPartition, int | None]) -> None:
        """See `Source.start`."""
        places = {place: aiokafka.TopicPartition(*place) for place in positions}
        self._consumer.assign(list(places.values()))
        unknown = [places[place] for place, offset in positions.items() if offset is None]
        beginnings = await self._consumer.beginning_offsets(unknown) if unknown else {}
        for place, offset in positions.items():
            kafka_place = places[place]
            self._consumer.seek(kafka_place, beginnings[kafka_place] if offset is None else offset)

    async def fetch(self, max_records: int, timeout_seconds: float) -> Sequence[Run]:
        """See `Source.fetch`."""
        return await self._getmany(max_records, timeout_seconds)

    def ends(self) -> dict[TopicPartition, int]:
        """Where the partitions end, as far as the last fetch told."""
        found = {TopicPartition(*place): self._consumer.highwater(place) for place in self._consumer.assignment()}
        return {place: end for place, end in found.items() if end is not None}

    async def missing(self) -> str:
        """A sentence when Kafka does not answer, else nothing."""
        asked = self._consumer.end_offsets([aiokafka.TopicPartition(self._topics[0], 0)])
        return await answered(asked, f"Kafka at {self._kafka} is away")

    async def _getmany(self, max_records: int, timeout_seconds: float) -> list[Run]:
        try:
            found: dict[Any, list[list[Record]]] = await self._consumer.getmany(
                timeout_ms=int(timeout_seconds * 1000), max_records=max(max_records // _RUN_RECORDS, 1)
            )
        except OffsetOutOfRangeError as error:
            raise SourceFault(f"Kafka does not have the offset that ClickHouse says comes next: {error}") from error
        except KafkaError as error:
            raise SourceFault(f"Kafka at {self._kafka}: {error}") from error
        return [Run(TopicPartition(*place), run) for place, runs in found.items() for run in runs]
