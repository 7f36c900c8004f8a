"""Topics as the broker has them, beside the topic table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from schemas.admission import or_refused
from schemas.errors import ConfigurationError
from schemas.kafka import Address, client_arguments
from schemas.settings import Settings
from schemas.topics import Topic, topic_table

REQUEST_TIMEOUT_MS = 10_000
_NO_ERROR = 0


class BrokerAway(ConfigurationError):
    """The broker does not answer at its address."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic of the table as found. `records` is what it holds now (offsets, so compacted ones count);
    `differences` are sentences on what is not as the table says, empty when all is."""

    name: str
    partitions: int
    records: int
    key: str
    differences: tuple[str, ...]


async def topic_states(settings: Settings) -> list[TopicState]:
    """Every topic of the table, in its order. Raises BrokerAway."""
    table = topic_table(settings.interaction_partitions, settings.account_partitions)
    async with _admin(settings.kafka) as admin:
        found = {topic["topic"]: topic for topic in await admin.describe_topics([topic.name for topic in table])}
        there = [topic for topic in table if found[topic.name]["error_code"] == _NO_ERROR]
        configs = await _configs(admin, [topic.name for topic in there])
    held = await _records(settings.kafka, {t.name: len(found[t.name]["partitions"]) for t in there})
    return [
        TopicState(
            topic.name,
            len(found[topic.name]["partitions"]),
            held.get(topic.name, 0),
            topic.key,
            tuple(_differences(topic, len(found[topic.name]["partitions"]), configs.get(topic.name))),
        )
        for topic in table
    ]


def _differences(wanted: Topic, partitions: int, config: Mapping[str, str] | None) -> list[str]:
    if config is None:
        return ["is not there: `quarterhour prepare` creates it"]
    found = []
    if partitions != wanted.partitions:
        found.append(f"has {partitions} partitions, the settings say {wanted.partitions}: records are placed by it")
    for name, value in wanted.config.items():
        if config.get(name) != value:
            found.append(f"{name} is {config.get(name)}, wanted {value}: change it with kafka-configs --alter")
    return found


async def _configs(admin: Any, names: list[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    answers = await admin.describe_configs(resources) if resources else []
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for answer in answers
        for _, _, _, name, entries in answer.resources
    }


async def _records(kafka: Address, partitions: Mapping[str, int]) -> dict[str, int]:
    consumer = AIOKafkaConsumer(**client_arguments(kafka), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await consumer.start()
        asked = [TopicPartition(name, number) for name, count in partitions.items() for number in range(count)]
        first, end = await consumer.beginning_offsets(asked), await consumer.end_offsets(asked)
    finally:
        await consumer.stop()
    held = dict.fromkeys(partitions, 0)
    for place in asked:
        held[place.topic] += int(end[place]) - int(first[place])
    return held


@asynccontextmanager
async def _admin(kafka: Address) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(**client_arguments(kafka), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError) as error:
        raise BrokerAway(await or_refused(kafka, f"Kafka does not answer at {kafka}: {error}")) from error
    finally:
        await admin.close()
