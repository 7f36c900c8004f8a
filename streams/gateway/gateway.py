"""`Gateway`: publish interactions and ask what an app may do, from one asyncio program."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Self

from schemas import traces
from schemas.interactions import Event
from schemas.kafka import Address
from schemas.topics import ENTITLEMENTS
from streams.gateway.entitled import Decision, EntitlementPolicy, Entitlements
from streams.gateway.errors import Closed
from streams.gateway.events import checked
from streams.gateway.follower import Follower
from streams.gateway.publisher import Publisher, PublisherPolicy, Receipt


class Gateway:
    """Use as `async with Gateway("127.0.0.1:9092", workspace="acme") as gateway:`.

    Leaving the block waits until all events are acknowledged (or given up). One event loop's, not thread-safe.
    """

    def __init__(
        self,
        kafka: Address,
        *,
        workspace: str | None = None,
        entitlements: EntitlementPolicy = EntitlementPolicy(),  # noqa: B008 - frozen
        publishing: PublisherPolicy = PublisherPolicy(),  # noqa: B008 - frozen
        throwaway: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`kafka`: `host:port,...`, or a `Kafka` where it wants TLS or a password.

        `workspace`: whose apps `allowed` means by default. `throwaway`: see the setting QUARTERHOUR_THROWAWAY.
        """
        self._workspace = workspace
        self._clock = clock
        self._publisher = Publisher(kafka, f"quarterhour-gateway-{os.getpid()}", publishing, throwaway=throwaway)
        self._view = Entitlements(entitlements)
        self._follower = Follower(kafka, ENTITLEMENTS, self._view.apply, clock=clock)

    async def __aenter__(self) -> Self:
        """Connect, and read the entitlements to their end; raises BrokerAway, also where Kafka refuses us."""
        await self._publisher.start()
        try:
            await self._follower.start()
        except BaseException:
            await self._publisher.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._publisher.flush()
        finally:
            await self._publisher.close()
            await self._follower.close()

    async def publish(self, event: Event | bytes, *, traceparent: str | None = None) -> Receipt:
        """Hand over one event (or its CloudEvents JSON); returns once the buffer has room for it.

        `await` the receipt for the acknowledgement, or `flush` for all. Raises InvalidRecord, naming field, value and
        rule, for what METER would reject; Closed outside the block. The event's trace is the W3C `traceparent`, else
        that of its JSON, else the current span of OpenTelemetry, where the program uses that.
        """
        key, value, _ = checked(event)
        trace = traces.parsed(traceparent) if traceparent else traces.of_event(value) or traces.of_this_task()
        return await self._publisher.publish(key, value, trace)

    async def flush(self) -> None:
        """Wait until everything published is acknowledged; raises NotDelivered or Refused if something was not."""
        await self._publisher.flush()

    def allowed(self, app: str, *, user: str | None = None, workspace: str | None = None) -> Decision:
        """Whether the app may take one more request of this user, from the local view; counts it against the limits.

        Answers at once, without asking anybody: see `Decision` for how far it sees.
        """
        whose = workspace or self._workspace
        if whose is None:
            raise ValueError("whose app? name the workspace here or when you make the Gateway")
        if self._publisher.partitions == 0:
            raise Closed("the gateway is not open: use it inside `async with`")
        return self._view.decide(whose, app, user, self._follower.staleness_seconds(), self._clock())

    @property
    def staleness_seconds(self) -> float:
        """How long ago the view of entitlements was last known to be current."""
        return self._follower.staleness_seconds()

    @property
    def buffered_bytes(self) -> int:
        """Bytes of events that are not yet acknowledged."""
        return self._publisher.budget.used
