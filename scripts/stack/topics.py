"""Brings the topics of a broker to what is wanted.

Guarantees: afterwards every wanted topic exists, has the wanted number of partitions, and each partition has a leader.
Doing it again, or twice at the same time, changes nothing. A topic with another number of partitions is an error and
is left as it is, since records are placed by it.

Left to others: changing the configuration of a topic that exists.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from schemas.kafka import Address, client_arguments

_NO_ERROR = 0
_UNKNOWN_TOPIC = 3
_EXISTS = 36
_TRY_AGAIN = {5: "leader not available", 7: "timed out", 14: "coordinator loading", 41: "not the controller"}
_PAUSE_SECONDS = 0.1


class TopicLike(Protocol):
    """What is asked of a topic's description."""

    @property
    def name(self) -> str: ...
    @property
    def partitions(self) -> int: ...
    @property
    def config(self) -> Mapping[str, str]: ...


class TopicRefused(RuntimeError):
    """The broker refused a topic, or did not make it ready in time."""


class PartitionsDiffer(RuntimeError):
    """A topic exists with another number of partitions than wanted."""

    def __init__(self, topic: str, found: int, wanted: int) -> None:
        super().__init__(
            f"topic {topic} has {found} partitions, wanted {wanted}. Records are placed by this number: either set the "
            f"wanted number to {found}, or start from an empty broker (another world) with {wanted}"
        )
        self.topic, self.found, self.wanted = topic, found, wanted


async def create_topics(
    kafka: Address, topics: Iterable[TopicLike], *, replication_factor: int = 1, timeout_seconds: float = 30
) -> list[str]:
    """Create the missing ones, check the others; the names of those that this call created."""
    wanted = {topic.name: topic for topic in topics}
    if not wanted:
        return []
    admin = AIOKafkaAdminClient(**client_arguments(kafka), request_timeout_ms=int(timeout_seconds * 1000))
    try:
        async with asyncio.timeout(timeout_seconds):
            await admin.start()
            created = await _create(admin, wanted, replication_factor)
            await _wait_for_leaders(admin, wanted)
    except TimeoutError as error:
        raise TopicRefused(f"{kafka} did not make the topics ready in {timeout_seconds:g} s; see its log") from error
    finally:
        await admin.close()
    return created


async def _create(admin: Any, wanted: Mapping[str, TopicLike], replication_factor: int) -> list[str]:
    # Creating first and looking afterwards is what makes two callers at once safe: exactly one of them succeeds.
    created, missing = [], set(wanted)
    while missing:
        new = [
            NewTopic(topic.name, topic.partitions, replication_factor, topic_configs=dict(topic.config))
            for name, topic in sorted(wanted.items())
            if name in missing
        ]
        for name, code, message in (await admin.create_topics(new)).topic_errors:
            if code == _NO_ERROR:
                created.append(name)
            elif code not in _TRY_AGAIN and code != _EXISTS:
                raise TopicRefused(f"the broker refused topic {name}: {message or 'no reason given'} (error {code})")
            if code not in _TRY_AGAIN:
                missing.discard(name)
        if missing:
            await asyncio.sleep(_PAUSE_SECONDS)
    return sorted(created)


async def _wait_for_leaders(admin: Any, wanted: Mapping[str, TopicLike]) -> None:
    waiting = set(wanted)
    while waiting:
        for found in await admin.describe_topics(sorted(waiting)):
            if _ready(found, wanted[found["topic"]]):
                waiting.discard(found["topic"])
        if waiting:
            await asyncio.sleep(_PAUSE_SECONDS)


def _ready(found: Mapping[str, Any], wanted: TopicLike) -> bool:
    code, partitions = found["error_code"], found["partitions"]
    if code == _UNKNOWN_TOPIC or code in _TRY_AGAIN:
        return False
    if code != _NO_ERROR:
        raise TopicRefused(f"the broker does not describe topic {wanted.name} (error {code})")
    if len(partitions) != wanted.partitions:
        raise PartitionsDiffer(wanted.name, len(partitions), wanted.partitions)
    return all(partition["error_code"] == _NO_ERROR and partition["leader"] >= 0 for partition in partitions)
