"""One elected clock (law 2: time enters as records): killed, paused, and with clocks that go backwards."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

import pytest

from schemas.settings import Settings
from schemas.topics import INTERACTIONS
from scripts.soaking.broker import spawn
from streams.durable.reader import PartitionReader
from streams.workers.lease import new_lease
from tests.requests.kafka import a_broker

pytestmark = pytest.mark.stack


class Ticks:
    """The ticks of one partition of `interactions`, in the order of the log."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.sources: list[str] = []
        self.instants: list[datetime] = []

    async def read(self) -> int:
        """All there are by now; how many."""
        self.sources, self.instants = [], []
        async with PartitionReader(self._settings.kafka_bootstrap_servers, INTERACTIONS, 1) as reader:
            async for records in reader.read(0, await reader.end()):
                for raw in records:
                    event = json.loads(raw.value or b"")
                    self.sources.append(event["source"].rsplit("-", 1)[1])
                    self.instants.append(datetime.fromisoformat(event["time"]))
        return len(self.sources)

    async def until(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Read until a condition holds."""

        async def holds() -> bool:
            await self.read()
            return condition()

        await eventually(holds, seconds)


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 120) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is watched is in other processes
            await asyncio.sleep(0.1)


class Clocks:
    """Clock processes, by pid."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self._settings, self._directory = settings, directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """One more."""
        log = self._directory / f"clock-{len(self._processes)}.log"
        argv = [sys.executable, "-m", "streams.workers.clock"]
        process = spawn("clock", argv, log, self._settings.environment())
        self._processes[str(process.pid)] = process

    def send(self, pid: str, number: signal.Signals) -> None:
        """A signal to one."""
        self._processes[pid].send_signal(number)

    def end(self) -> None:
        """Kill all."""
        for process in self._processes.values():
            process.kill()
            process.wait()


async def test_exactly_one_clock_ticks_another_takes_over_when_it_dies_or_sleeps(tmp_path: Path) -> None:
    async with a_broker(tmp_path) as (_, settings):
        ticks, clocks = Ticks(settings), Clocks(settings, tmp_path)
        try:
            for _ in range(3):
                clocks.start()
            await ticks.until(lambda: len(ticks.sources) > 4 and len(set(ticks.sources[-3:])) == 1)
            first = ticks.sources[-1]

            clocks.send(first, signal.SIGKILL)
            died = len(ticks.sources)  # whoever took over may have had the lease for a moment while all were starting
            await ticks.until(lambda: ticks.sources[-1] != first)
            second = ticks.sources[-1]
            assert first not in ticks.sources[ticks.sources.index(second, died) :]

            clocks.send(second, signal.SIGSTOP)
            slept = len(ticks.sources)
            await ticks.until(lambda: ticks.sources[-1] not in (first, second))
            third = ticks.sources[-1]
            since = ticks.sources.index(third, slept)
            clocks.send(second, signal.SIGCONT)
            await ticks.until(lambda: len(ticks.sources) > since + 5)
            newest, back = ticks.instants[0], list[str]()
            for instant, source in zip(ticks.instants[1:], ticks.sources[1:], strict=True):
                if instant <= newest:
                    back.append(source)
                newest = max(newest, instant)
            assert back in ([], [second]), "only the tick it was about to publish may come late, and it is older"
        finally:
            clocks.end()


async def test_nobody_publishes_an_instant_that_is_not_after_the_last_one_whoever_published_that(
    tmp_path: Path,
) -> None:
    """Clocks of machines differ: a new owner waits until its own has passed what the one before it published."""
    async with a_broker(tmp_path) as (_, settings):
        bootstrap = settings.kafka_bootstrap_servers
        async with new_lease(bootstrap, "ahead", 2) as ahead:
            await eventually(lambda: ahead.renew(1_000_000))
            assert not await ahead.renew(1_000_000)
            assert not await ahead.renew(999_999)
            async with new_lease(bootstrap, "behind", 2) as behind:
                await ahead.wait(1)
                given = [await ahead.renew(1_000_001), await behind.renew(1_000_001)]
                assert given.count(True) <= 1, "exactly one of two may have it"
        async with new_lease(bootstrap, "next", 2) as later:
            await eventually(lambda: later.renew(2_000_000))
            assert not await later.renew(1_500_000)
