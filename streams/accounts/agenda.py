"""Which accounts need the clock, and when: heaps, so that a watermark looks at those alone.

An entry that the account's own schedule no longer confirms is stale and ignored; so the agenda can be rebuilt from
the accounts at any time, and says the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush
from typing import Protocol

from streams.accounts.state import BUCKET_US, Clock


class Scheduled(Protocol):
    """An account that says when it next needs the clock."""

    alarm_us: int | None
    lapse_us: int | None


class Agenda:
    """Alarms by `now`, lapses and buckets to forget by `complete`."""

    __slots__ = ("alarms", "buckets", "lapses")

    def __init__(self) -> None:
        self.alarms: list[tuple[int, str]] = []
        self.lapses: list[tuple[int, str]] = []
        self.buckets: dict[int, set[str]] = {}

    def add(self, workspace: str, alarm_us: int | None, lapse_us: int | None) -> None:
        """Enter when an account needs the clock."""
        if alarm_us is not None:
            heappush(self.alarms, (alarm_us, workspace))
        if lapse_us is not None:
            heappush(self.lapses, (lapse_us, workspace))

    def add_bucket(self, workspace: str, bucket: int) -> None:
        """Enter a bucket of open charges, once."""
        entered = self.buckets.get(bucket)
        if entered is None:
            entered = self.buckets[bucket] = set()
        entered.add(workspace)

    def due(self, clock: Clock, accounts: Mapping[str, Scheduled]) -> list[str]:
        """The workspaces with something due by the clock, in the order of (instant, workspace)."""
        first: dict[str, int] = {}
        while self.alarms and self.alarms[0][0] <= clock.now_us:
            instant, workspace = heappop(self.alarms)
            if accounts[workspace].alarm_us == instant:
                first[workspace] = min(instant, first.get(workspace, instant))
        while self.lapses and self.lapses[0][0] <= clock.complete_us:
            instant, workspace = heappop(self.lapses)
            if accounts[workspace].lapse_us == instant:
                first[workspace] = min(instant, first.get(workspace, instant))
        return sorted(first, key=lambda workspace: (first[workspace], workspace))

    def final_buckets(self, complete_us: int) -> list[tuple[int, str]]:
        """The buckets that end by then, oldest first."""
        final = sorted(bucket for bucket in self.buckets if (bucket + 1) * BUCKET_US <= complete_us)
        return [(bucket, workspace) for bucket in final for workspace in sorted(self.buckets.pop(bucket))]
