"""When to look at which key again: keys by the whole minute at which the first of their units may close."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from schemas.instants import MICROS_PER_MINUTE


class DueKeys:
    """Each open key stands under a minute at or before its deadline; it may stand under several."""

    def __init__(self) -> None:
        self._keys: dict[int, list[str]] = {}
        self._minutes: list[int] = []

    def add(self, deadline_us: int, key: str) -> None:
        """Look at `key` once the whole minutes reach `deadline_us`."""
        minute = -(-deadline_us // MICROS_PER_MINUTE)
        keys = self._keys.get(minute)
        if keys is None:
            self._keys[minute] = [key]
            heapq.heappush(self._minutes, minute)
        else:
            keys.append(key)

    def add_all(self, keys: Iterable[tuple[str, int]]) -> None:
        """Add many keys, each with its deadline."""
        due = self._keys
        for key, deadline_us in keys:
            minute = -(-deadline_us // MICROS_PER_MINUTE)
            if minute in due:
                due[minute].append(key)
            else:
                self.add(deadline_us, key)

    def take(self, complete_us: int) -> list[str]:
        """The keys due at a whole minute, each once, in the order of their names (law 2: no trace of their history)."""
        due: set[str] = set()
        while self._minutes and self._minutes[0] * MICROS_PER_MINUTE <= complete_us:
            due.update(self._keys.pop(heapq.heappop(self._minutes)))
        return sorted(due)
