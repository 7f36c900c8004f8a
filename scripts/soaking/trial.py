"""One trial: topics made, records published steadily, waited until the group has them all, judged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from schemas.settings import Settings
from schemas.topics import INTERACTIONS
from scripts.soaking.broker import RestartableBroker
from scripts.soaking.crew import Crew
from scripts.soaking.load import Load
from scripts.soaking.verdict import Verdict, judge
from streams.durable.machine import Output
from streams.durable.producer import new_producer, produce
from streams.durable.reader import GroupView
from streams.workers.meter import GROUP

_CHUNK_SECONDS = 0.1


@dataclass
class Trial:
    """A broker with empty topics, a crew, and a load. Use as an async context manager; the broker is the caller's."""

    broker: RestartableBroker
    settings: Settings
    directory: Path
    load: Load
    published: int = 0
    crew: Crew = field(init=False)

    def __post_init__(self) -> None:
        self.crew = Crew(self.settings, self.directory)
        self._records = self.load.records()
        self._producer: Any = None

    async def __aenter__(self) -> Self:
        await self.broker.create_topics(self.settings)
        self._producer = new_producer(self.settings.kafka, "load")
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.crew.kill()
        await self._producer.stop()

    async def publish(self, count: int) -> None:
        """Publish the load's next records at once, acknowledged."""
        for first in range(0, count, 2_000):
            await self.send([next(self._records) for _ in range(min(2_000, count - first))])

    async def publish_steadily(self, per_second: float, seconds: float, stop: asyncio.Event | None = None) -> None:
        """Publish at a steady rate until the time is up or `stop` is set; what a slow broker holds up is made good.

        Not to be cancelled: what the load gave must be published.
        """
        began = time.monotonic()
        sent = 0
        while (passed := time.monotonic() - began) < seconds and not (stop and stop.is_set()):
            due = int(passed * per_second) - sent
            await self.publish(due)
            sent += due
            await asyncio.sleep(_CHUNK_SECONDS)

    async def send(self, outputs: Sequence[Output]) -> None:
        """Publish any records."""
        await produce(self._producer, outputs)
        self.published += len(outputs)

    async def drained(self, seconds: float = 180) -> None:
        """Wait until the group has committed the end of every partition."""
        lag: dict[int, int] = {}
        group = GroupView(self.settings.kafka, GROUP, INTERACTIONS)
        await group.start()
        try:
            async with asyncio.timeout(seconds):
                while True:
                    ends = await group.ends(range(self.settings.interaction_partitions))
                    lag = {p: end - (await group.committed(p) or 0) for p, end in ends.items()}
                    if not any(lag.values()):
                        return
                    await asyncio.sleep(0.1)
        except TimeoutError:
            tails = "\n".join(f"{w.name}: {w.said()[-1500:]}" for w in self.crew.running())
            raise TimeoutError(
                f"not drained in {seconds} s, lag {lag}, crashes {self.crew.crashes()}\n{tails}"
            ) from None
        finally:
            await group.stop()

    async def finish(self, seconds: float = 180) -> Verdict:
        """Close everything by a final tick, wait for it, and judge."""
        await self.send(self.load.final_ticks())
        await self.drained(seconds)
        return await judge(self.settings, self.load.sent)
