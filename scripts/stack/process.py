"""One life of one supervised process: start it, wait for its end, stop it with all that it started.

Guarantees: it runs in a session and process group of its own, so a Ctrl-C on the terminal reaches only the supervisor;
stopping means the stop signal to the whole group, the grace, then SIGKILL to the whole group; signals go to the ids of
this process only. Output and errors are appended to the log, which starts anew (keeping one old file) above 32 MiB.

Left to others: when to start and stop it. The thread that starts it must live as long as it does: the system kills the
process when that thread ends (see child.py).
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_CHILD = Path(__file__).with_name("child.py")
_LARGEST_LOG_BYTES = 32 * 1024 * 1024
_TAIL_BYTES = 16 * 1024


@dataclass(frozen=True)
class ProcessSpec:
    """What to run and how to treat it."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the supervisor's own environment."""
    ready: Callable[[], Awaitable[None]] | None = None
    """Returns when the process serves; None means: as soon as it runs."""
    ready_seconds: float = 90
    restart: bool = True
    """False: it runs once; ending with 0 is fine, anything else fails the whole."""
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10
    directory: Path | None = None


class Process:
    """A started process. Its pid is the program's own and its group's id."""

    def __init__(self, spec: ProcessSpec, process: asyncio.subprocess.Process) -> None:
        self.spec = spec
        self._process = process
        self._swept = False

    @classmethod
    async def start(cls, spec: ProcessSpec, log: Path) -> "Process":
        _make_room(log)
        # Blocking for the microseconds of an open; a thread would be the thread that must not end.
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_CHILD), str(os.getpid()), spec.name, *spec.argv),
                env={**os.environ, **spec.env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=spec.directory,
                start_new_session=True,
            )
        return cls(spec, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        """Its exit code, negative for a signal; what it started and left behind in its group is killed."""
        code = await self._process.wait()
        if not self._swept:  # at once and once: later the id may be a stranger's
            self._swept = True
            self._signal_group(signal.SIGKILL)
        return code

    async def stop(self, hurry: asyncio.Event | None = None) -> int:
        """Stop it and all its group; a set `hurry` ends the grace. Harmless on one that has ended."""
        if self.running:
            self._signal_group(self.spec.stop_signal)
            self._signal_group(signal.SIGCONT)  # a frozen one would not hear of it before the grace is over
            if not await self._ended_within(self.spec.grace_seconds, hurry or asyncio.Event()):
                self._signal_group(signal.SIGKILL)
        return await self.wait()

    async def _ended_within(self, seconds: float, hurry: asyncio.Event) -> bool:
        ended, hurried = asyncio.ensure_future(self._process.wait()), asyncio.ensure_future(hurry.wait())
        try:
            await asyncio.wait({ended, hurried}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return ended.done()
        finally:
            for task in (ended, hurried):
                task.cancel()

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return


def ending(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError as error:
        return f"(no log: {error})"
    return "\n".join(text.splitlines()[-lines:])


def _make_room(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LARGEST_LOG_BYTES:
        log.replace(log.with_name(log.name + ".1"))
