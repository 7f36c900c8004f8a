"""Which accounts need the clock, and when: heaps, so that a watermark looks at those alone.

An entry that the account's own `next_..._us` no longer confirms is stale and ignored; so the agenda can be rebuilt from
the accounts at any time, and says the same.
"""

from __future__ import annotations

from heapq import heappop, heappush

from streams.accounts.state import BUCKET_US, AccountState, Clock


class Agenda:
    """Alarms by `now`, lapses and buckets to forget by `complete`."""

    __slots__ = ("alarms", "buckets", "entered", "lapses")

    def __init__(self) -> None:
        self.alarms: list[tuple[int, str]] = []
        self.lapses: list[tuple[int, str]] = []
        self.buckets: list[tuple[int, str]] = []
        self.entered: set[tuple[int, str]] = set()

    def add(self, state: AccountState) -> None:
        """Enter what the account's schedule says."""
        if state.next_alarm_us is not None:
            heappush(self.alarms, (state.next_alarm_us, state.workspace))
        if state.next_lapse_us is not None:
            heappush(self.lapses, (state.next_lapse_us, state.workspace))

    def add_bucket(self, workspace: str, bucket: int) -> None:
        """Enter a bucket of open charges, once."""
        entry = (bucket, workspace)
        if entry not in self.entered:
            self.entered.add(entry)
            heappush(self.buckets, entry)

    def due(self, clock: Clock, accounts: dict[str, AccountState]) -> list[str]:
        """The workspaces with something due by the clock, in the order of (instant, workspace)."""
        first: dict[str, int] = {}
        while self.alarms and self.alarms[0][0] <= clock.now_us:
            instant, workspace = heappop(self.alarms)
            if accounts[workspace].next_alarm_us == instant:
                first[workspace] = min(instant, first.get(workspace, instant))
        while self.lapses and self.lapses[0][0] <= clock.complete_us:
            instant, workspace = heappop(self.lapses)
            if accounts[workspace].next_lapse_us == instant:
                first[workspace] = min(instant, first.get(workspace, instant))
        return sorted(first, key=lambda workspace: (first[workspace], workspace))

    def final_buckets(self, complete_us: int) -> list[tuple[int, str]]:
        """The buckets that end by then, oldest first."""
        final: list[tuple[int, str]] = []
        while self.buckets and (self.buckets[0][0] + 1) * BUCKET_US <= complete_us:
            final.append(heappop(self.buckets))
            self.entered.discard(final[-1])
        return final
