"""Reader processes, one a lane: Python decodes on one core only, whatever it is given."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from projections.loader.journal import Lane, LoaderFault
from projections.loader.loading import LoadPolicy
from projections.loader.records import TopicPartition
from projections.rebuilding.lanes import LANES
from projections.rebuilding.reader import Order, Told
from schemas.settings import Settings

TellLane = Callable[[int, int, int], None]
"""Told of a lane by its number: how many of its records are behind it, and of how many."""


@dataclass(frozen=True, slots=True)
class Readers:
    """How to start one (`projections.rebuilding.reader`), and how many records make it worth it to have them."""

    command: tuple[str, ...]
    least_records: int = 100_000
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    async def called(self, records: int) -> Crew:
        """A crew for so many records: of one reader a lane, or of none."""
        crew = Crew(self)
        if records >= self.least_records:
            await crew.call(LANES)
        return crew


class Crew:
    """Readers at hand. Those called wait for their orders; so they are ready by the time there are some."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._waiting: list[Process] = []

    def is_for(self, records: int) -> bool:
        """Whether so many records are enough for readers."""
        return records >= self._readers.least_records

    async def call(self, number: int) -> None:
        """Start readers until so many wait. In sessions of their own: Ctrl-C is for the rebuild, which ends them."""
        while len(self._waiting) < number:
            environment = {**os.environ, **self._readers.environment}
            reader = await create_subprocess_exec(
                *self._readers.command, stdin=PIPE, stdout=PIPE, start_new_session=True, env=environment
            )
            self._waiting.append(reader)

    async def end(self) -> None:
        """End the readers that wait."""
        while self._waiting:
            await _ended(self._waiting.pop())

    async def load(
        self, url: str, lanes: Sequence[Lane], ends: Mapping[TopicPartition, int], policy: LoadPolicy, tell: TellLane
    ) -> int:
        """Load all lanes to their ends, each by a process; how many records that were. Raises LoaderFault for the first
        reader that could not; the others are ended then, and a later rebuild goes on where each of them was."""
        await self.call(len(lanes))
        reading = [
            asyncio.create_task(_read(self._waiting.pop(), _order(url, lane, ends, policy), tell)) for lane in lanes
        ]
        try:
            await asyncio.wait(reading, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in reading:
                task.cancel()
            results = await asyncio.gather(*reading, return_exceptions=True)
        faults = [one for one in results if isinstance(one, BaseException)]
        if faults:
            raise next((one for one in faults if not isinstance(one, asyncio.CancelledError)), faults[0])
        return sum(one for one in results if isinstance(one, int))


def kafka_readers(settings: Settings) -> Readers:
    """Readers of the Kafka of these settings, told of it by their environment: it may want a password."""
    return Readers((sys.executable, "-m", "projections.rebuilding.reader"), environment=settings.environment())


async def _read(process: Process, order: Order, tell: TellLane) -> int:
    try:
        return await _follow(process, order, tell)
    finally:
        await _ended(process)


async def _ended(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


async def _follow(process: Process, order: Order, tell: TellLane) -> int:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(order) + b"\n")
    told = Told()
    async for line in process.stdout:
        told = msgspec.json.decode(line, type=Told)
        if not told.fault:
            tell(order.lane, told.done, told.total)
    code = await process.wait()
    if told.ended and code == 0:
        return told.loaded
    how = told.fault or (f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}")
    raise LoaderFault(f"reader {order.lane}: {how}; the next rebuild goes on where it was")


def _order(url: str, lane: Lane, ends: Mapping[TopicPartition, int], policy: LoadPolicy) -> Order:
    own = [(*place, end) for place, end in ends.items() if place in lane.places]
    return Order(url, lane.number, sorted(lane.places), own, policy)
