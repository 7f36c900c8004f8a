"""METER workers as real processes that join, leave, are killed and are paused; each has a log of its own."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from schemas.settings import Settings
from scripts.soaking.broker import spawn

_GENERATION = re.compile(r"Successfully synced group \S+ with generation (\d+)")
_KEPT = re.compile(r"state kept for \[(.+?)\]")
_FILLED = re.compile(r"was not delivered; read (\d+) records")
_IN_FLIGHT = re.compile(r"up to (\d+) batches were in flight")
_RECOVERED = re.compile(r"recovered (\d+) state records")


class Worker:
    """One worker process."""

    def __init__(self, name: str, settings: Settings, log: Path, **env: str) -> None:
        self.name = name
        self.log = log
        self._process = spawn(
            name, [sys.executable, "-m", "streams.workers.meter"], log, {**settings.environment(), **env}
        )

    @property
    def pid(self) -> int:
        """The worker's own process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended (a paused one runs)."""
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """A signal, if it still runs."""
        if self.running:
            self._process.send_signal(number)

    async def ended(self, seconds: float = 120) -> int:
        """Its exit code, negative for a signal; TimeoutError when it does not end."""
        async with asyncio.timeout(seconds):
            while self.running:  # noqa: ASYNC110 - a process, which tells no event
                await asyncio.sleep(0.05)
        return self._process.wait()

    def kill(self) -> None:
        """`kill -9` and wait."""
        self.send(signal.SIGKILL)
        self._process.wait()

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace")

    async def says(self, text: str, seconds: float = 120, *, times: int = 1) -> None:
        """Wait until its log holds a text so many times."""
        async with asyncio.timeout(seconds):
            while self.said().count(text) < times:
                if not self.running:
                    raise ChildProcessError(
                        f"{self.name} ended with {self._process.returncode}:\n{self.said()[-3000:]}"
                    )
                await asyncio.sleep(0.05)


class Crew:
    """All workers that ever were, and what their logs tell."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.directory = directory
        self.workers: list[Worker] = []

    def join(self, **env: str) -> Worker:
        """Start one more worker; `env` adds to its settings."""
        name = f"worker-{len(self.workers)}"
        self.directory.mkdir(parents=True, exist_ok=True)
        worker = Worker(name, self.settings, self.directory / f"{name}.log", **env)
        self.workers.append(worker)
        return worker

    def running(self) -> list[Worker]:
        """Those that have not ended."""
        return [worker for worker in self.workers if worker.running]

    async def leave(self) -> list[int]:
        """All leave in order; their exit codes."""
        staying = self.running()
        for worker in staying:
            worker.send(signal.SIGTERM)
            worker.send(signal.SIGCONT)
        return [await worker.ended() for worker in staying]

    def kill(self) -> None:
        """Kill whatever still runs."""
        for worker in self.running():
            worker.kill()

    def crashes(self) -> list[str]:
        """The last lines of every worker that ended by an error of its own."""
        return [
            f"{worker.name} ended with {worker._process.returncode}: {worker.said()[-2000:]}"
            for worker in self.workers
            if (worker._process.poll() or 0) > 0
        ]

    def generations(self) -> set[int]:
        """Every generation of the group that some worker took part in."""
        return {int(found[1]) for found in self._found(_GENERATION)}

    def states_kept(self) -> int:
        """How often a partition's state was kept from one generation to the next."""
        return sum(len(found[1].split(",")) for found in self._found(_KEPT))

    def recoveries(self) -> int:
        """How often a partition's state was read from the changelog."""
        return sum(1 for _ in self._found(_RECOVERED))

    def most_in_flight(self) -> int:
        """The most batches of a partition that were in flight at once."""
        return max((int(found[1]) for found in self._found(_IN_FLIGHT)), default=0)

    def gaps_filled(self) -> tuple[int, int]:
        """How often records that were not delivered were read by position, and how many."""
        found = [int(match[1]) for match in self._found(_FILLED)]
        return len(found), sum(found)

    def _found(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        for worker in self.workers:
            yield from pattern.finditer(worker.said())
