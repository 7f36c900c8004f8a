"""Notices a partition that stands still although records wait: what no exception tells, a count of looks does.

Counted in looks and not in seconds, so that a process that was itself paused is not taken for a stuck one.
"""

from __future__ import annotations

from collections.abc import Mapping

STUCK_LOOKS = 60
RECOVERY_LOOKS = 600


class Watchdog:
    """Remembers where each partition was at the last look, and for how many looks it has not moved."""

    def __init__(self, stuck_looks: int = STUCK_LOOKS, recovery_looks: int = RECOVERY_LOOKS) -> None:
        self._stuck_looks = stuck_looks
        self._recovery_looks = recovery_looks
        self._still: dict[int, tuple[int | None, int]] = {}

    def observe(self, positions: Mapping[int, int | None], ends: Mapping[int, int]) -> list[int]:
        """One look; the partitions that are stuck. A position of None is a recovery that is still going on."""
        still: dict[int, tuple[int | None, int]] = {}
        for partition, position in positions.items():
            if position is None or position < ends.get(partition, 0):
                before, looks = self._still.get(partition, (position, 0))
                still[partition] = (position, looks + 1 if before == position else 1)
        self._still = still
        return [partition for partition, (position, looks) in still.items() if looks > self._limit(position)]

    def _limit(self, position: int | None) -> int:
        return self._recovery_looks if position is None else self._stuck_looks
