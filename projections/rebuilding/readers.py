"""Reader processes, one a lane: Python decodes on one core only, whatever it is given."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from projections.loader.journal import Lane, LoaderFault
from projections.loader.loading import LoadPolicy
from projections.loader.records import TopicPartition
from projections.rebuilding.reader import Order, Told

TellLane = Callable[[int, int, int], None]
"""Told of a lane by its number: how many of its records are behind it, and of how many."""


@dataclass(frozen=True, slots=True)
class Readers:
    """How to start one (`projections.rebuilding.reader`), and how many records make it worth it to have them."""

    command: tuple[str, ...]
    least_records: int = 100_000

    async def load(
        self, url: str, lanes: Sequence[Lane], ends: Mapping[TopicPartition, int], policy: LoadPolicy, tell: TellLane
    ) -> int:
        """Load all lanes to their ends, each by a process; how many records that were. Raises LoaderFault for the first
        reader that could not; the others are ended then, and a later rebuild goes on where each of them was."""
        reading = [asyncio.create_task(self._read(_order(url, lane, ends, policy), tell)) for lane in lanes]
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

    async def _read(self, order: Order, tell: TellLane) -> int:
        # In a session of its own: Ctrl-C is for the rebuild, which ends its readers.
        process = await asyncio.create_subprocess_exec(*self.command, stdin=PIPE, stdout=PIPE, start_new_session=True)
        try:
            return await _follow(process, order, tell)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def kafka_readers(servers: str) -> Readers:
    """Readers of the Kafka at these addresses."""
    return Readers((sys.executable, "-m", "projections.rebuilding.reader", servers))


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
