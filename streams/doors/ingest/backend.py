"""What the ingest stands on: the publisher and the view of keys, connected in the background and closed together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import Protocol

from schemas.settings import Settings
from schemas.topics import GATEWAY_KEYS
from schemas.traces import TraceContext
from streams.gateway.errors import BrokerAway
from streams.gateway.follower import Follower
from streams.gateway.keys import Keys
from streams.gateway.publisher import Publisher, PublisherPolicy, Receipt

log = logging.getLogger(__name__)
DELIVERY_SECONDS = 10.0
_AGAIN_SECONDS = 1.0


class Backend(Protocol):
    """The application's view of it; a test has another one."""

    keys: Keys

    async def open(self) -> None:
        """Begin to connect; returns at once."""

    async def close(self) -> None:
        """Let go."""

    def offer(self, key: str, value: bytes, trace: TraceContext | None = None) -> Receipt | None:
        """See `Publisher.offer`; None too while there is no broker."""

    def is_connected(self) -> bool:
        """Whether there has been a broker at all."""

    def stalled_seconds(self) -> float:
        """See `Publisher.stalled_seconds`."""

    def keys_age_seconds(self) -> float:
        """See `Follower.staleness_seconds`."""


class KafkaBackend:
    """The real one."""

    def __init__(self, settings: Settings) -> None:
        self.keys = Keys()
        # Requests are bounded before they are read; this bound is for what is left in flight behind a dead broker.
        policy = PublisherPolicy(4 * settings.ingest_in_flight_bytes, DELIVERY_SECONDS)
        kafka = settings.kafka
        self._publisher = Publisher(kafka, f"quarterhour-ingest-{os.getpid()}", policy, throwaway=settings.throwaway)
        self._follower = Follower(kafka, GATEWAY_KEYS, self.keys.apply)
        self._connecting: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """See `Backend`."""
        self._connecting = asyncio.create_task(self._connect())
        self._follower.start_soon()

    async def _connect(self) -> None:
        while True:
            try:
                await self._publisher.start()
            except BrokerAway as error:
                log.warning("%s", error)
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return

    async def close(self) -> None:
        """See `Backend`."""
        if self._connecting is not None:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connecting
        await self._follower.close()
        await self._publisher.close()

    def offer(self, key: str, value: bytes, trace: TraceContext | None = None) -> Receipt | None:
        """See `Backend`."""
        return self._publisher.offer(key, value, trace) if self.is_connected() else None

    def is_connected(self) -> bool:
        """See `Backend`."""
        return self._publisher.partitions > 0

    def stalled_seconds(self) -> float:
        """See `Backend`."""
        return self._publisher.stalled_seconds()

    def keys_age_seconds(self) -> float:
        """See `Backend`."""
        return self._follower.staleness_seconds()
