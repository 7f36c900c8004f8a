"""What the protocol needs of a partition's state machine: a pure fold of input records into outputs and state.

A machine knows no I/O and no clock. Law 2 rests on it: what it emits is a function of the input prefix, however the
prefix is cut into batches and however often it was restored from its changelog on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct


class RawRecord(Struct, frozen=True, gc=False):
    """One input record as the broker has it; `timestamp_ms` is its append time (LogAppendTime) in milliseconds UTC."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Output(Struct, frozen=True, gc=False):
    """One record to produce; its value names its origin (law 2). No value is a tombstone, in a changelog only."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class PartitionMachine(Protocol):
    """One input partition's state machine.

    Life: made empty; `restore` for each state record held by the changelog, in any order, then `restored` with the
    partition-wide part of the last checkpoint (None when there is none); then for ever: `step`, once or several times,
    one `take_changes` and one `checkpoint`.
    """

    def restore(self, key: bytes, value: bytes) -> None:
        """Take back one state record that `take_changes` gave."""

    def restored(self, checkpoint: bytes | None) -> None:
        """Everything is back; `checkpoint` is what `checkpoint()` returned at that position."""

    def step(self, records: Sequence[RawRecord]) -> list[Output]:
        """Fold a contiguous run of records into the state; returns the outputs in order.

        Raises for a programming error only: bad input is an output (a record set aside), never an exception.
        """

    def take_changes(self) -> Iterable[tuple[bytes, bytes | None]]:
        """State records changed since the last call, each key once; None when a key is gone."""

    def outcome_counts(self) -> Mapping[str, int]:
        """How many records of the partition became what, since its first (law 7); they add up to the records read."""

    def checkpoint(self) -> bytes:
        """The partition-wide state (watermark, marks, counts) that belongs to the position reached."""
