"""One partition at work: alerts in, attempts at their time, each step durable before the next.

For an alert: outputs, then state with the position (law 1). For an attempt: connect, greet, name sender and recipient;
journal `attempting`; hand over; journal `sent`; tell; forget. So what may arrive twice is only what was handed over
while the process was killed, or the line broke, before the answer was journaled: a few milliseconds in an attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from schemas.mails import DeliveryChannel, Webhook
from streams.durable.failpoints import FailPoint
from streams.durable.machine import Output, RawRecord
from streams.mailer.deliveries import Accepted, Delivery
from streams.mailer.desk import Decision, Desk
from streams.mailer.journal import ChangelogRecord
from streams.mailer.outbound import Carrier

log = logging.getLogger("quarterhour.mailer")

STEPS = ("plan-told", "planned", "connected", "attempting", "accepted", "sent", "told", "forgotten")
"""Where a test may have the process die (`QUARTERHOUR_FAIL_POINT`), in the order an alert passes them."""
AT_ONCE = 4
"""Attempts of one partition under way at a time."""
EXPIRE_SECONDS = 3600.0

Write = Callable[[Sequence[ChangelogRecord]], Awaitable[None]]
Publish = Callable[[Sequence[Output]], Awaitable[None]]
Clock = Callable[[], int]


def wall_clock_us() -> int:
    """Now, in microseconds UTC."""
    return time.time_ns() // 1000


class Dispatcher:
    """See the module. `run` works until it is cancelled or `finish` is awaited; an error in it must end the process."""

    def __init__(
        self, desk: Desk, write: Write, publish: Publish, carriers: Mapping[DeliveryChannel, Carrier],
        fail_point: FailPoint, clock: Clock = wall_clock_us,
    ) -> None:  # fmt: skip
        self.desk = desk
        self._write, self._publish, self._carriers = write, publish, carriers
        self._fail_point, self._clock = fail_point, clock
        self._news = asyncio.Event()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._finishing = False

    async def take(self, topic: str, records: Sequence[RawRecord], webhooks: Mapping[str, Sequence[Webhook]]) -> None:
        """Plan what records lead to; durable when it returns."""
        decision = self.desk.take(topic, records, webhooks, self._clock())
        await self._publish(decision.outputs)
        self._fail_point.passed("plan-told")
        await self._remember(decision)
        self._fail_point.passed("planned")
        self._news.set()

    async def run(self) -> None:
        """Attempt what is due, for ever."""
        for delivery in self.desk.untold():
            await self._tell(delivery.delivery_id)
        async with asyncio.TaskGroup() as attempts:
            next_expiry = 0.0
            while not self._finishing:
                if time.monotonic() >= next_expiry:
                    await self._remember(self.desk.expired(self._clock()))
                    next_expiry = time.monotonic() + EXPIRE_SECONDS
                self._news.clear()
                for delivery in self.desk.due(self._clock(), self._busy)[: AT_ONCE - len(self._busy)]:
                    task = attempts.create_task(self._attempt(delivery), name=delivery.delivery_id)
                    self._busy[delivery.delivery_id] = task
                # Not `wait_for`: it swallows a cancellation that comes with the news, such as that of a failed attempt.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_seconds()):
                        await self._news.wait()

    async def finish(self, seconds: float) -> None:
        """Begin nothing more, and wait so long for what is under way."""
        self._finishing = True
        self._news.set()
        if self._busy:
            await asyncio.wait(list(self._busy.values()), timeout=seconds)

    def _pause_seconds(self) -> float:
        if len(self._busy) >= AT_ONCE:
            return EXPIRE_SECONDS
        next_us = self.desk.next_due_us(self._busy)
        return EXPIRE_SECONDS if next_us is None else min(max((next_us - self._clock()) / 1e6, 0.0), EXPIRE_SECONDS)

    async def _attempt(self, delivery: Delivery) -> None:
        key = delivery.delivery_id
        try:

            async def before_hand_over() -> None:
                self._fail_point.passed("connected")
                await self._remember(self.desk.begun(key, self._clock()))
                self._fail_point.passed("attempting")

            outcome = await self._carriers[delivery.channel].carry(delivery, before_hand_over)
            accepted = isinstance(outcome, Accepted)
            if accepted:
                self._fail_point.passed("accepted")
            decision = self.desk.ended(key, outcome, self._clock())
            await self._publish(decision.outputs)
            await self._remember(decision)
            if accepted:
                self._fail_point.passed("sent")
                await self._tell(key)
            held = self.desk.deliveries.get(key)
            log.info("%s %s to %s: %s", delivery.channel, key, delivery.recipient,
                     "sent" if held is None else f"{held.status}, {held.detail}")  # fmt: skip
        finally:
            self._busy.pop(key, None)
            self._news.set()

    async def _tell(self, key: str) -> None:
        decision = self.desk.told(key)
        await self._publish(decision.outputs)
        self._fail_point.passed("told")
        await self._remember(decision)
        self._fail_point.passed("forgotten")

    async def _remember(self, decision: Decision) -> None:
        await self._write(decision.records())
        self.desk.apply(decision)
