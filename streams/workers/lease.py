"""Electing one process: whoever Kafka assigns the one partition of a topic to, as the coordinator confirms each time.

The group's commits are the lease: only the present owner in the present generation can commit, and what it commits is
the instant it is about to publish. So one that was paused learns from its next commit that the group has moved on, and
a new owner goes on after the last instant that any owner before it published. Between a confirmed commit and the record
that follows, a process can still be paused; what it then publishes late is older than what follows it, and says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from schemas.health import answered
from schemas.kafka import Address, client_arguments
from schemas.topics import CLOCK_LEASE
from streams.durable.reader import METADATA_MS

log = logging.getLogger("quarterhour.lease")
GROUP = "quarterhour-clock"


def new_lease(kafka: Address, name: str, session_seconds: float) -> Lease:
    """A candidate; one that is dead for `session_seconds` is followed by another."""
    consumer = AIOKafkaConsumer(
        **client_arguments(kafka),
        client_id=name,
        group_id=GROUP,
        enable_auto_commit=False,  # a commit is the lease, made when we say
        auto_offset_reset="latest",
        metadata_max_age_ms=METADATA_MS,
        session_timeout_ms=int(session_seconds * 1000),
        heartbeat_interval_ms=int(session_seconds * 250),
    )
    return Lease(consumer, name)


class _Owner(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Notes what the group assigns; nothing is ever read from the partition."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        self._lease.lost("the group is assigning anew")

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        self._lease.assigned(bool(list(assigned)))


class Lease:
    """One member of the election (see `new_lease`). Use as an async context manager.

    `joined`: the group has said who owns the partition, this member or another.
    """

    def __init__(self, consumer: Any, name: str) -> None:
        self._partition = TopicPartition(CLOCK_LEASE, 0)
        self._name = name
        self.joined = False
        self._elected = False
        self._last: int | None = None
        self._consumer = consumer

    async def __aenter__(self) -> Lease:
        self._consumer.subscribe([CLOCK_LEASE], listener=_Owner(self))
        try:
            await self._consumer.start()
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    def assigned(self, ours: bool) -> None:
        """The group has assigned the partition, to us or to another."""
        if ours:
            self._consumer.pause(self._partition)
        self._elected, self._last, self.joined = ours, None, True
        log.info("%s %s", self._name, "is elected" if ours else "stands by")

    def lost(self, why: str) -> None:
        """We are not the owner any more, as far as we know."""
        if self._elected:
            log.info("%s is no more elected: %s", self._name, why)
        self._elected = self.joined = False

    async def renew(self, instant_us: int) -> bool:
        """Whether we may publish something of this instant: we are the owner, and nothing later was published."""
        if not self._elected:
            return False
        try:
            if self._last is None:
                self._last = await self._consumer.committed(self._partition) or 0
            if instant_us <= self._last:
                return False
            await self._consumer.commit({self._partition: instant_us})
        except (KafkaError, IllegalStateError) as error:
            self._last = None
            log.warning("%s: the lease is not confirmed: %r", self._name, error)
            return False
        self._last = instant_us
        return self._elected

    async def kafka_missing(self) -> str:
        """A sentence when the broker does not answer, else nothing."""
        return await answered(self._consumer.end_offsets([self._partition]), "Kafka is away")

    async def wait(self, seconds: float) -> None:
        """Let time pass; being seen to wait is what keeps a member that reads nothing in the group."""
        began = asyncio.get_running_loop().time()
        await self._consumer.getmany(timeout_ms=int(seconds * 1000))
        await asyncio.sleep(max(0.0, began + seconds - asyncio.get_running_loop().time()))
