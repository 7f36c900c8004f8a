"""Keeps a set of processes running until told to stop.

Guarantees:
- Processes start in order, each when the one before is ready, and stop in reverse order (process.py says how).
- A crashed process starts again after a growing delay (restarts.py) and one line says so. Too many crashes in a row, or
  the failure of a process that is not restarted, end the whole: all stop, the exit code is 1, the log's tail is shown.
- Ctrl-C, SIGTERM and SIGHUP ask for a stop: all stop in order, and the exit code is 0, because a stop that was asked
  for and went well is no failure (so not 130). A second one ends the grace: what still runs is killed.
- No process outlives the supervisor, not even kill -9 of it (child.py; Linux).

Left to others: what to run, where data is kept, and what a start means for the pipeline.

    async with Supervisor(logs) as supervisor:
        await supervisor.start(specs)
        await supervisor.run_until_stopped()
    return supervisor.exit_code
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from scripts.stack.process import Process, ProcessSpec, ending, tail
from scripts.stack.restarts import CrashHistory, RestartPolicy

__all__ = ["ProcessFailed", "ProcessSpec", "ProcessState", "StopAsked", "Supervisor"]

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_Result = TypeVar("_Result")


class StopAsked(Exception):
    """A stop was asked for while work was going on; leaving the supervisor's block with it is fine."""


class ProcessFailed(RuntimeError):
    """A process could not be started or kept running; the message holds its log's tail."""


@dataclass(frozen=True)
class ProcessState:
    """How one process is doing now."""

    name: str
    pid: int | None
    restarts: int
    healthy: bool


class _Service:
    """A process through all its lives."""

    def __init__(self, spec: ProcessSpec, log: Path, policy: RestartPolicy) -> None:
        self.spec, self.log = spec, log
        self.history = CrashHistory(policy)
        self.process: Process | None = None
        self.healthy_since: float | None = None
        self.restarts = 0
        self.keeper: asyncio.Task[None] | None = None

    def state(self) -> ProcessState:
        running = self.process is not None and self.process.running
        pid = self.process.pid if self.process is not None and running else None
        return ProcessState(self.spec.name, pid, self.restarts, running and self.healthy_since is not None)

    async def start(self) -> str | None:
        """Start it and wait until it is ready; None, or why it is not (then it has been stopped)."""
        self.healthy_since = None
        self.process = await Process.start(self.spec, self.log)
        problem = await self._problem_before_ready(self.process) if self.spec.ready is not None else None
        if problem is None:
            self.healthy_since = time.monotonic()
        else:
            await self.process.stop()
        return problem

    async def _problem_before_ready(self, process: Process) -> str | None:
        assert self.spec.ready is not None
        ended, ready = asyncio.ensure_future(process.wait()), asyncio.ensure_future(self.spec.ready())
        try:
            await asyncio.wait({ended, ready}, timeout=self.spec.ready_seconds, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return f"ended with {ending(ended.result())} before it was ready"
            if not ready.done():
                return f"was not ready after {self.spec.ready_seconds:g} s"
            return f"was not ready: {error}" if (error := ready.exception()) is not None else None
        finally:
            for task in (ended, ready):
                task.cancel()
            await asyncio.gather(ended, ready, return_exceptions=True)

    def healthy_seconds(self) -> float:
        return 0.0 if self.healthy_since is None else time.monotonic() - self.healthy_since


class Supervisor:
    """See the module. `announce` gets each line that people should see."""

    def __init__(
        self,
        logs: Path,
        policy: RestartPolicy = RestartPolicy(),  # noqa: B008 - frozen
        announce: Callable[[str], None] = print,
        *,
        signals: bool = True,
    ) -> None:
        self.logs = logs
        self._policy, self._announce, self._signals = policy, announce, signals
        self._services: list[_Service] = []
        self._end, self._hurry = asyncio.Event(), asyncio.Event()
        self.failure: str | None = None

    @property
    def exit_code(self) -> int:
        """0 after a stop that was asked for or a block that ran to its end, 1 when something failed."""
        return 0 if self.failure is None else 1

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for or something failed for good."""
        return self._end.is_set()

    def processes(self) -> list[ProcessState]:
        """All processes in start order; `restarts` counts for the whole life of the supervisor."""
        return [service.state() for service in self._services]

    def log_file(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def request_stop(self) -> None:
        """What a stop signal does; a second call ends the grace of what is being stopped."""
        if self._end.is_set():
            self._hurry.set()
        self._end.set()

    async def start(self, specs: Iterable[ProcessSpec]) -> None:
        """Start in order, waiting for each to be ready. May be called again for more of them.

        A process that does not get ready the first time is not tried again: ProcessFailed. StopAsked if stopped.
        """
        for spec in specs:
            if any(service.spec.name == spec.name for service in self._services):
                raise ValueError(f"a process named {spec.name!r} is already supervised: choose another name")
            service = _Service(spec, self.log_file(spec.name), self._policy)
            self._services.append(service)
            problem = await self.during(service.start())
            if problem is not None:
                self._fail(service, problem)
                raise ProcessFailed(self.failure)
            service.keeper = asyncio.create_task(self._keep(service), name=f"keep {spec.name}")

    async def during(self, work: Awaitable[_Result]) -> _Result:
        """The result of `work`, cancelled if meanwhile a stop is asked for (StopAsked) or a process fails for good."""
        task, end = asyncio.ensure_future(work), asyncio.ensure_future(self._end.wait())
        try:
            if not self._end.is_set():
                await asyncio.wait({task, end}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            for each in (task, end):
                each.cancel()
            await asyncio.gather(task, end, return_exceptions=True)
        if self.failure is not None:
            raise ProcessFailed(self.failure)
        raise StopAsked

    async def run_until_stopped(self) -> int:
        """Wait for a stop or a failure, stop all, and give the exit code."""
        await self._end.wait()
        await self.stop()
        return self.exit_code

    async def stop(self) -> None:
        """Stop all in reverse order; harmless when they are stopped."""
        self._end.set()
        keepers = [service.keeper for service in self._services if service.keeper is not None]
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        for service in reversed(self._services):
            if service.process is not None:
                await service.process.stop(self._hurry)

    async def __aenter__(self) -> "Supervisor":
        if self._signals:
            for number in _STOP_SIGNALS:
                # Under nohup the terminal's end is to be ignored, so it stays so.
                if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                    asyncio.get_running_loop().add_signal_handler(number, self.request_stop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None and not isinstance(error, StopAsked) and self.failure is None:
            self.failure = f"{type(error).__name__}: {error}"
        try:
            await self.stop()
        finally:
            if self._signals:
                for number in _STOP_SIGNALS:
                    asyncio.get_running_loop().remove_signal_handler(number)
        return isinstance(error, StopAsked)

    async def _keep(self, service: _Service) -> None:
        try:
            while await self._revive(service):
                pass
        except Exception as error:
            self._fail(service, f"can no longer be watched: {error!r}")

    async def _revive(self, service: _Service) -> bool:
        """Wait for its end and start it again; False when it is not to be watched any longer."""
        assert service.process is not None
        code = await service.process.wait()
        if not service.spec.restart:
            if code != 0:
                self._fail(service, f"ended with {ending(code)}")
            return False
        problem: str | None = f"ended with {ending(code)}"
        while problem is not None:
            delay = service.history.crashed(time.monotonic(), service.healthy_seconds())
            if delay is None:
                self._fail(service, f"{problem}; given up after {len(service.history.crashes)} crashes in a row")
                return False
            self._say(f"{service.spec.name} {problem}; starting it again in {delay:g} s (log: {service.log})")
            await asyncio.sleep(delay)
            service.restarts += 1
            problem = await service.start()
        return True

    def _fail(self, service: _Service, problem: str) -> None:
        self.failure = f"{service.spec.name} {problem}\nlast lines of {service.log}:\n{tail(service.log)}"
        self._say(self.failure)
        self._end.set()

    def _say(self, line: str) -> None:
        # The terminal may be gone; that must not keep anything from being stopped.
        with contextlib.suppress(OSError):
            self._announce(line)
