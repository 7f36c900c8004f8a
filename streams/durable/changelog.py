"""State in a compacted topic: each record tagged with the input position it is the state at.

Law it keeps: what is recovered is the state at the newest durable position, exactly. A record tagged beyond that
position (written by a run that died before its position record) is held back until a position covers it; a stale one
appended late by a paused worker is passed over, because its tag is lower than what is held, and what it overtook is
written again, because compaction keeps the last record. Both rest on law 2: a state record is a function of the input
prefix its tag names, whoever wrote it. What compaction may have taken from under the position is refused, not guessed.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from schemas.errors import QuarterhourError
from schemas.headers import TAG_HEADER
from schemas.kafka import Address
from streams.durable.machine import Output, PartitionMachine
from streams.durable.reader import PartitionReader

POSITION_KEY = b"p"
STATE_PREFIX = b"s"
_TAG = struct.Struct(">q")
YOUNG_MS: Final = 12 * 60 * 60 * 1000
"""Compaction touches nothing younger than a day (`min.compaction.lag.ms`); half of it leaves room for wrong clocks."""


class CorruptChangelog(QuarterhourError):
    """The changelog holds something this version cannot read."""


class Recovered(NamedTuple):
    """What a recovery found: the next input offset to process (None when there is no state), and how much was read."""

    position: int | None
    records: int
    stale: int
    overtaken: list[Output]
    """What to write again, because a stale record was appended behind it (see `StateFold.overtaken`)."""


def state_outputs(
    topic: str, partition: int, position: int, changes: Iterable[tuple[bytes, bytes | None]]
) -> list[Output]:
    """The changelog records of a batch that brings the partition to `position`."""
    tag = _TAG.pack(position)
    return [
        Output(topic, partition, STATE_PREFIX + key, None, ((TAG_HEADER, tag),))
        if value is None
        else Output(topic, partition, STATE_PREFIX + key, tag + value)
        for key, value in changes
    ]


def position_output(topic: str, partition: int, position: int, checkpoint: bytes) -> Output:
    """The record that makes a position durable; acknowledged after all its state records."""
    return Output(topic, partition, POSITION_KEY, _TAG.pack(position) + checkpoint)


def position_of(value: bytes) -> int:
    """The position that a position record holds."""
    return int(_TAG.unpack_from(value)[0])


class StateFold:
    """Folds changelog records, in their order, into the state at the newest position."""

    def __init__(self) -> None:
        self.position: int | None = None
        self.checkpoint: bytes | None = None
        self.stale = 0
        self._positions = 0
        self._next_offset = 0
        self._has_gaps = False
        self._ahead_since_ms: int | None = None
        # By the changelog's key, each with its tag in front; of a key that is gone the tag alone, and it is in `_gone`.
        self._held: dict[bytes, bytes] = {}
        self._gone: set[bytes] = set()
        self._ahead: list[tuple[bytes, bytes, bool]] = []
        self._overtaken: set[bytes] = set()
        self._position_overtaken = False

    def records(self, records: Iterable[Any]) -> None:
        """Take changelog records (any objects with offset, timestamp_ms, key, value and headers), in order."""
        ahead, next_offset = self._ahead, self._next_offset
        for record in records:
            key, value = record.key, record.value
            if record.offset != next_offset:
                self._has_gaps = True
            next_offset = record.offset + 1
            if not ahead:
                self._ahead_since_ms = record.timestamp_ms
            if value is None or key is None or key[:1] != STATE_PREFIX or record.headers or len(value) < _TAG.size:
                self.record(record)
                ahead = self._ahead
            else:
                ahead.append((key, value, False))
        self._next_offset = next_offset

    def record(self, record: Any) -> None:
        """Take one changelog record."""
        value: bytes | None = record.value
        tag = self._tag(record)
        if record.key == POSITION_KEY:
            self._advance(int(_TAG.unpack(tag)[0]), value or b"")
        elif record.key is not None and record.key.startswith(STATE_PREFIX):
            self._ahead.append((record.key, tag + value[_TAG.size :], False) if value else (record.key, tag, True))
        else:
            raise CorruptChangelog(f"changelog offset {record.offset}: unknown key {record.key!r}")

    def _tag(self, record: Any) -> bytes:
        for name, header in record.headers or ():
            if name == TAG_HEADER and len(header) == _TAG.size:
                return bytes(header)
        if record.value is None or len(record.value) < _TAG.size:
            raise CorruptChangelog(f"changelog offset {record.offset}: no position tag")
        return bytes(record.value[: _TAG.size])

    def check(self, now_ms: int) -> None:
        """CorruptChangelog if compaction may have taken state from under the newest position.

        A batch whose process died before its position leaves state that no position covers. Once such a record is
        old enough, compaction may keep it and remove the one before it, which the position needs. It has not done so
        while a second position record is there: it would have removed all but the last of those, which lies before;
        nor while such a record is young, as it is when a process comes back that died in its first batch after a pause.
        """
        if self._positions > 1 or not self._has_gaps or self._ahead_since_ms is None:
            return
        if abs(now_ms - self._ahead_since_ms) < YOUNG_MS:
            return
        lost = next((key for key, _, _ in self._ahead if key not in self._held), None)
        if lost is not None and self.position is not None:
            raise CorruptChangelog(
                f"the changelog was compacted after a batch was cut off: its newest position is {self.position}, and "
                f"what {lost[len(STATE_PREFIX) :]!r} was then may be gone; restore the topic from a copy, or reset it "
                "and the group to start from the first record"
            )

    def _advance(self, position: int, value: bytes) -> None:
        self._positions += 1
        if self.position is not None and position < self.position:
            self.stale += 1
            self._position_overtaken = True
            return
        self._position_overtaken = False
        self.position = position
        self.checkpoint = value[_TAG.size :]
        held, gone, beyond = self._held, self._gone, _TAG.pack(position + 1)
        ahead: list[tuple[bytes, bytes, bool]] = []
        for entry in self._ahead:
            key, tagged, is_gone = entry
            if tagged >= beyond:  # tags are big-endian and lead: bytes compare as positions do
                ahead.append(entry)
            elif (before := held.get(key)) is not None and tagged[: _TAG.size] < before[: _TAG.size]:
                self.stale += 1
                self._overtaken.add(key)
            else:
                held[key] = tagged
                if before is not None:
                    self._overtaken.discard(key)
                    gone.discard(key)
                if is_gone:
                    gone.add(key)
        self._ahead = ahead

    def overtaken(self, topic: str, partition: int) -> list[Output]:
        """The records to write again so that the newest is the last of its key, which is the one compaction keeps."""
        outputs: list[Output] = []
        for key in sorted(self._overtaken):
            tagged = self._held[key]
            content = None if key in self._gone else tagged[_TAG.size :]
            (tag,) = _TAG.unpack_from(tagged)
            outputs += state_outputs(topic, partition, tag, [(key[len(STATE_PREFIX) :], content)])
        if self._position_overtaken and self.position is not None:
            outputs.append(position_output(topic, partition, self.position, self.checkpoint or b""))
        return outputs

    def restore_into(self, machine: PartitionMachine) -> None:
        """Give the machine its state back; what no position covers is left out."""
        restore, gone, prefix, tag = machine.restore, self._gone, len(STATE_PREFIX), _TAG.size
        for key, tagged in self._held.items():
            if key not in gone:
                restore(key[prefix:], tagged[tag:])
        machine.restored(self.checkpoint)


async def recover(kafka: Address, topic: str, partition: int, machine: PartitionMachine) -> Recovered:
    """Read the changelog partition to its present end and restore the machine from it; see `StateFold.check`."""
    fold = StateFold()
    count = 0
    async with PartitionReader(kafka, topic, partition) as reader:
        async for records in reader.read(await reader.beginning(), await reader.end()):
            fold.records(records)
            count += len(records)
    fold.check(time.time_ns() // 1_000_000)
    fold.restore_into(machine)
    return Recovered(fold.position, count, fold.stale, fold.overtaken(topic, partition))
