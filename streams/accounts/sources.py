"""The partitions of `interactions` as one inbox partition hears of them: marks against repeats (law 3), and the clock.

The clock is the minimum over all source partitions, undefined until each has reported, and moves only forward.
"""

from __future__ import annotations

from schemas.units import Origin, Watermark
from streams.accounts.state import Clock


class Sources:
    """Marks and clocks by source partition."""

    __slots__ = ("clock", "clocks", "marks")

    def __init__(self) -> None:
        self.marks: dict[int, tuple[int, int]] = {}
        self.clocks: dict[int, Clock] = {}
        self.clock = Clock()

    def is_repeat(self, origin: Origin) -> bool:
        """Whether this, or a later output of the same source partition, has been applied; else it is from here on."""
        position = (origin.offset, origin.index)
        mark = self.marks.get(origin.partition)
        if mark is not None and position <= mark:
            return True
        self.marks[origin.partition] = position
        return False

    def hear(self, watermark: Watermark) -> bool:
        """Take a watermark; whether the clock has moved."""
        source = watermark.origin.partition
        before = self.clocks.get(source, Clock())
        now_us, complete_us = max(before.now_us, watermark.now_us), max(before.complete_us, watermark.complete_us)
        self.clocks[source] = Clock(now_us, complete_us)
        if any(partition not in self.clocks for partition in range(watermark.source_partitions)):
            return False
        slowest_now = min(clock.now_us for clock in self.clocks.values())
        slowest_complete = min(clock.complete_us for clock in self.clocks.values())
        clock = Clock(max(self.clock.now_us, slowest_now), max(self.clock.complete_us, slowest_complete))
        moved = clock != self.clock
        self.clock = clock
        return moved
