"""A bound on bytes: who asks for more than is left waits in line, so that back-pressure reaches whoever produces."""

from __future__ import annotations

import asyncio
from collections import deque


class ByteBudget:
    """`total` bytes to hand out. Not thread-safe: one event loop's."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def try_take(self, size: int) -> bool:
        """Take if there is room now and nobody waits."""
        if self._waiting or self.used + size > self.total:
            return False
        self.used += size
        return True

    async def take(self, size: int) -> None:
        """Take, waiting in line for room. More than the whole is ValueError."""
        if size > self.total:
            raise ValueError(f"{size} bytes never fit a buffer of {self.total}")
        if self.try_take(size):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(size)  # it was our turn already
            else:
                self._waiting = deque(entry for entry in self._waiting if entry[1] is not turn)
                self._next()
            raise

    def give_back(self, size: int) -> None:
        """Give back, and let those in front of the line take."""
        self.used -= size
        self._next()

    def _next(self) -> None:
        while self._waiting and self.used + self._waiting[0][0] <= self.total:
            size, turn = self._waiting.popleft()
            if not turn.done():
                self.used += size
                turn.set_result(None)
