"""The throw-away broker: enough to carry records where Apache Kafka cannot be had."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import UnknownError

from scripts.stack.ports import free_port
from scripts.stack.supervisor import Supervisor
from scripts.stack.throwaway import (
    SUPPORTS_IDEMPOTENT_PRODUCERS,
    WARNING,
    ThrowawayUnavailable,
    throwaway_broker,
    throwaway_process,
)
from scripts.stack.topics import create_topics


@dataclass(frozen=True)
class Topic:
    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def program() -> Path:
    said: list[str] = []
    try:
        found = throwaway_broker(said.append)
    except ThrowawayUnavailable as reason:
        pytest.skip(str(reason))
    assert said[0] == WARNING
    return found


@pytest.mark.stack
async def test_throwaway_broker_makes_topics_and_carries_records(program: Path, tmp_path: Path) -> None:
    port = free_port()
    bootstrap = f"127.0.0.1:{port}"
    async with Supervisor(tmp_path, signals=False) as supervisor:
        await supervisor.start([throwaway_process(program, port)])
        assert await create_topics(bootstrap, [Topic("events", 3), Topic("state", 1)]) == ["events", "state"]
        assert await create_topics(bootstrap, [Topic("events", 3)]) == []
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
            for number in range(10):
                await producer.send_and_wait("events", b"%d" % number, partition=2)
        async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
            consumer.assign([TopicPartition("events", 2)])
            assert [(await consumer.getone()).value for _ in range(10)] == [b"%d" % number for number in range(10)]


@pytest.mark.stack
async def test_idempotent_producers_do_not_start_on_it_as_its_description_says(program: Path, tmp_path: Path) -> None:
    port = free_port()
    async with Supervisor(tmp_path, signals=False) as supervisor:
        await supervisor.start([throwaway_process(program, port)])
        producer = AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{port}", enable_idempotence=True)
        try:
            with pytest.raises(UnknownError):
                await producer.start()
        finally:
            await producer.stop()
    assert not SUPPORTS_IDEMPOTENT_PRODUCERS
