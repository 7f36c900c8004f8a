"""Bounded threads for the engine's blocking calls.

A lane runs so many calls at once; more wait their turn, in order. Reads and writes have a lane each, so that long
queries never hold up an insert. A call that has begun keeps its place until it returns, whoever stopped waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class Lane:
    """At most `width` calls at a time. Belongs to one event loop."""

    def __init__(self, name: str, width: int) -> None:
        self._threads = ThreadPoolExecutor(width, thread_name_prefix=name)
        self._places = asyncio.Semaphore(width)
        self._running: set[Future[Any]] = set()

    @property
    def running(self) -> int:
        """How many calls have begun and not returned."""
        return len(self._running)

    async def start(self, call: Callable[[], Result]) -> asyncio.Future[Result]:
        """Wait for a place, begin the call, and return its future. Only the waiting can be cancelled."""
        await self._places.acquire()
        loop = asyncio.get_running_loop()

        def leave(done: Future[Result]) -> None:
            self._running.discard(done)
            with contextlib.suppress(RuntimeError):  # the loop has ended before the call
                loop.call_soon_threadsafe(self._places.release)

        running = self._threads.submit(call)
        self._running.add(running)
        running.add_done_callback(leave)
        return asyncio.wrap_future(running)

    async def run(self, call: Callable[[], Result]) -> Result:
        """Wait for a place, then for the call's result."""
        return await (await self.start(call))

    def close(self) -> None:
        """Take no more calls; does not wait for the running ones."""
        self._threads.shutdown(wait=False, cancel_futures=True)
