"""Batches on their way to being durable, several at a time, each through the same steps in the same order (law 1).

A batch's outputs are sent once those of the batch before are acknowledged; its state once its own outputs are, and the
batch before is durable whole; its position last. So one batch's state and position, the next one's outputs and the work
on the one after that go on at the same time, what readers see keeps its order (law 3 rests on it), and a batch that
fails takes every later one with it before any of their state is sent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct

from streams.durable.failpoints import FailPoint
from streams.durable.machine import Output
from streams.durable.producer import produce

MOST_IN_FLIGHT: Final = 3
"""One whose outputs are awaited, one whose state and position are, one that is ready to follow: more could only wait.

It also bounds what a paused worker that wakes can still append, and what a restart repeats.
"""


class Batch(Struct, frozen=True, gc=False):
    """What makes the partition durable up to `position`: outputs, then state records, then the position record."""

    position: int
    outputs: Sequence[Output]
    state: Sequence[Output]
    mark: Output


class Flights:
    """The batches of one partition in flight. `landed` is called with each position as it becomes durable, in order."""

    def __init__(self, producer: Any, fail_point: FailPoint, landed: Callable[[int], None]) -> None:
        self._producer = producer
        self._fail_point = fail_point
        self._landed = landed
        self._durable: deque[asyncio.Task[None]] = deque()
        self._sent: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.most = 0
        """The most there ever were at once."""

    def __len__(self) -> int:
        return len(self._durable)

    def begin(self, batch: Batch, ended: Callable[[], None]) -> None:
        """Send a batch off; `ended` is called when it is durable or has failed: then `reap`."""
        before = self._durable[-1] if self._durable else None
        self._sent = self._task(self._send(batch, self._sent))
        self._durable.append(self._task(self._settle(batch, self._sent, before)))
        self.most = max(self.most, len(self._durable))
        self._durable[-1].add_done_callback(lambda _: ended())

    def reap(self) -> None:
        """Let go of what is durable; raises what the oldest batch failed with."""
        while self._durable and self._durable[0].done():
            self._durable.popleft().result()

    async def room(self) -> None:
        """Wait until another batch may begin; raises what the oldest one failed with."""
        while len(self._durable) >= MOST_IN_FLIGHT:
            await self._durable.popleft()

    async def empty(self) -> None:
        """Wait until all is durable; raises what the first one failed with."""
        while self._durable:
            await self._durable.popleft()

    async def drop(self) -> None:
        """Cancel whatever is still on its way."""
        tasks = self._tasks | set(self._durable)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._durable.clear()
        self._sent = None

    def _task(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _send(self, batch: Batch, before: asyncio.Task[None] | None) -> None:
        """Step 1."""
        if before is not None:
            await before
        await produce(self._producer, batch.outputs)
        self._passed("outputs")

    async def _settle(self, batch: Batch, sent: asyncio.Task[None], before: asyncio.Task[None] | None) -> None:
        """Steps 2 and 3."""
        await sent
        if before is not None:
            await before
        await produce(self._producer, batch.state)
        self._passed("state")
        await produce(self._producer, [batch.mark])
        self._passed("position")
        self._landed(batch.position)

    def _passed(self, step: str) -> None:
        self._fail_point.passed(step, sum(not task.done() for task in self._durable))
