"""The idempotent producer under a publisher, replaced when it is beyond help.

aiokafka retries by itself whatever can be retried, however long the broker is away; after some faults (an
`OutOfOrderSequenceNumber` after an outage, say) it never gets on again, and only another producer does. What was in
flight then may be written twice, in the same order: METER counts it once (U7).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    ProducerClosed,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)

from schemas.admission import or_refused
from schemas.kafka import Address
from streams.gateway.errors import BrokerAway

log = logging.getLogger(__name__)
RETRY_SECONDS = 0.2
METADATA_SECONDS = 10.0
REFUSALS = (
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    InvalidTopicError,
    TopicAuthorizationFailedError,
    PolicyViolationError,
)
"""What another try, or another producer, does not mend."""


class Connection:
    """A producer at a time; `generation` counts them. `make` gives one that is not started."""

    def __init__(self, make: Callable[[], Any], kafka: Address) -> None:
        self._make = make
        self._kafka = kafka
        self._renewing = asyncio.Lock()
        self.producer: Any = None
        self.generation = 0

    async def open(self, topic: str) -> int:
        """Connect; the number of the topic's partitions. Raises BrokerAway."""
        producer = self._make()
        try:
            async with asyncio.timeout(METADATA_SECONDS):
                await producer.start()
                partitions = await producer.partitions_for(topic)
        except (KafkaError, OSError, TimeoutError) as error:
            await producer.stop()
            away = (
                f"no Kafka with the topic {topic} answers at {self._kafka} ({error or 'timed out'}): start one with "
                "`quarterhour up`, or create the topics with `quarterhour prepare`"
            )
            raise BrokerAway(await or_refused(self._kafka, away)) from None
        except BaseException:
            await producer.stop()
            raise
        self.producer = producer
        return len(partitions)

    async def renew(self, generation: int, error: BaseException) -> None:
        """Another producer in place of `generation`'s, unless somebody has seen to it already."""
        async with self._renewing:
            if generation != self.generation:
                return
            log.warning("the producer is replaced: %r", error)
            await self._abandon(self.producer)
            while True:
                producer = self._make()
                try:
                    await producer.start()
                except (KafkaError, OSError):
                    await producer.stop()
                    if refused := await or_refused(self._kafka, ""):
                        log.warning("%s", refused)
                    await asyncio.sleep(RETRY_SECONDS)
                except BaseException:
                    await producer.stop()
                    raise
                else:
                    self.producer = producer
                    self.generation += 1
                    return

    async def close(self) -> None:
        """Close, without waiting for what is in flight."""
        if self.producer is not None:
            await self._abandon(self.producer)

    async def _abandon(self, producer: Any) -> None:
        # Private, but `stop` alone waits for batches that may never go: failed first, they are done.
        producer._message_accumulator.fail_all(ProducerClosed())
        await producer.stop()
