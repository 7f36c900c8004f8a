"""Toy programs for the supervisor to run, and what it takes to watch them."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil

from scripts.stack.process import ProcessSpec

_PRELUDE = "import os, pathlib, signal, sys, time\n"
SLEEPER = "time.sleep(600)"
STUBBORN = """
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b'told to stop\\n'))
print('deaf', flush=True)
time.sleep(600)
"""


def toy(name: str, code: str, **settings: Any) -> ProcessSpec:
    return ProcessSpec(name=name, argv=[sys.executable, "-I", "-c", _PRELUDE + code], **settings)


def noting_toy(name: str, notes: Path, **settings: Any) -> ProcessSpec:
    """Writes `+name` when it starts and `-name` when it is told to stop, into a file shared by all toys."""
    code = f"""
def note(line):
    with open({str(notes)!r}, "a") as file: file.write(line + "\\n")
def end(*_):
    note("-{name}"); sys.exit(0)
signal.signal(signal.SIGTERM, end)
note("+{name}")
time.sleep(600)
"""
    return toy(name, code, **settings)


def until_file_says(path: Path, text: str) -> Callable[[], Awaitable[None]]:
    """A readiness test: the file holds the text."""

    async def ready() -> None:
        await eventually(lambda: path.exists() and text in path.read_text(), 600)

    return ready


def gone(pid: int, within_seconds: float = 60) -> bool:
    """Whether the process has ended (or ends within the time)."""
    deadline = time.monotonic() + within_seconds
    while _runs(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def eventually(what: Callable[[], bool], within_seconds: float = 60) -> None:
    deadline = time.monotonic() + within_seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
