"""METER on one partition of `interactions`: judge each record, fold it in, close what is over (rules U1-U12).

Laws it keeps: what it emits is a function of the input prefix, however batches are cut (2); each record ends in exactly
one outcome, counted in `outcomes` (7); state is bounded by the allowed lateness (6). No I/O, no clock: "now" is the
record's append time for U6, and the partition's watermark for everything else.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import msgspec

from schemas.errors import InvalidRecord
from schemas.instants import MICROS_PER_MINUTE, text_of
from schemas.interactions import ALERT, NOTIFICATION, REROUTED_HEADER, TICK, Interaction, decode
from schemas.routing import interaction_key, partition_of
from streams.durable.machine import Output, RawRecord
from streams.metering.emitter import Emitter, KeyNames
from streams.metering.policy import MeterPolicy
from streams.metering.windows import KeyWindows, Window

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


class Outcomes(msgspec.Struct):
    """Law 7: what became of every record of the partition so far. `tick` records are the clock's, not events.

    `opened`: it opened a unit; `joined`: it is part of one; `unbilled_*`: counted apart, not billed (U12);
    `rerouted`: moved to the partition of its key, where it counts again as what it is.
    """

    opened: int = 0
    joined: int = 0
    unbilled_human_agent: int = 0
    unbilled_developer: int = 0
    unbilled_test: int = 0
    repeated: int = 0
    late: int = 0
    rejected: int = 0
    rerouted: int = 0
    tick: int = 0


class _Checkpoint(msgspec.Struct, array_like=True):
    watermark_us: int
    closed_us: int
    outcomes: Outcomes


class _Open:
    """A key's names, windows, and whether the changelog still lacks its newest state."""

    __slots__ = ("dirty", "names", "windows")

    def __init__(self, names: KeyNames, windows: KeyWindows) -> None:
        self.names = names
        self.windows = windows
        self.dirty = False


class MeterPartition:
    """The `PartitionMachine` of METER. Times are microseconds UTC."""

    def __init__(self, partition: int, policy: MeterPolicy) -> None:
        self.partition = partition
        self.policy = policy
        self.watermark_us = 0
        self.outcomes = Outcomes()
        self._closed_us = 0
        self._keys: dict[str, _Open] = {}
        self._due: list[tuple[int, str]] = []
        self._dirty: dict[str, None] = {}
        self._emitter = Emitter(partition, policy)

    @property
    def open_keys(self) -> int:
        """How many keys hold state now (law 6)."""
        return len(self._keys)

    def step(self, records: Sequence[RawRecord]) -> list[Output]:
        """Fold a contiguous run of records; returns the outputs in order (see `PartitionMachine.step`)."""
        emitter = self._emitter
        for record in records:
            emitter.begin(record.offset)
            try:
                event = decode(record.value)
                self._refuse_the_future(event, record)
            except InvalidRecord as error:
                self.outcomes.rejected += 1
                emitter.rejected(record, error, self.watermark_us)
                continue
            if event.type == TICK:
                self._tick(event)
            else:
                self._event(record, event)
        outputs, emitter.outputs = emitter.outputs, []
        return outputs

    def _refuse_the_future(self, event: Interaction, record: RawRecord) -> None:
        """U6: an event more than five minutes after its append time must not move the watermark."""
        limit = record.timestamp_ms * 1000 + self.policy.future_us
        if event.time_us > limit:
            detail = f"the event is in the future: it was received at {text_of(record.timestamp_ms * 1000)}"
            rule = f"at most {self.policy.future_us // 1_000_000} s ahead of the broker's append time (U6)"
            raise InvalidRecord("too_early", "time", text_of(event.time_us), rule, detail)

    def _tick(self, event: Interaction) -> None:
        self.outcomes.tick += 1
        self._advance(event.time_us)
        self._emitter.watermark(self.watermark_us, msgspec.structs.asdict(self.outcomes))

    def _event(self, record: RawRecord, event: Interaction) -> None:
        key = f"{event.environment}/{event.workspace}/{event.app}/{event.channel}/{event.user}"
        known = self._keys.get(key)
        if known is None and not self._belongs_here(record, event):
            self.outcomes.rerouted += 1
            self._emitter.reroute(record, event)
            return
        if event.time_us < self.watermark_us - self.policy.lateness_us:
            self.outcomes.late += 1
            self._emitter.late(record, event, self.watermark_us)
            return
        if event.time_us > self.watermark_us:
            self._advance(event.time_us)
            known = self._keys.get(key)
        if known is None:
            known = self._keys[key] = _Open(self._names(event), KeyWindows())
        identity = blake2b(f"{event.source}\x00{event.id}".encode(), digest_size=16).digest()
        windows = known.windows
        if identity in windows.seen:
            self.outcomes.repeated += 1
            return
        windows.seen[identity] = event.time_us
        self._mark_dirty(key, known)
        if windows.queued == 0 or event.time_us < windows.queued:
            self._queue(event.time_us + 1, key, windows)
        self._count(event, known)

    def _belongs_here(self, record: RawRecord, event: Interaction) -> bool:
        key = interaction_key(event.workspace, event.app, event.channel, event.user)
        if partition_of(key, self.policy.interaction_partitions) == self.partition:
            return True
        return any(name == REROUTED_HEADER for name, _ in record.headers)

    def _names(self, event: Interaction) -> KeyNames:
        return KeyNames(
            event.environment, event.workspace, event.app, event.channel, event.user, self.policy.account_partitions
        )

    def _count(self, event: Interaction, known: _Open) -> None:
        """Fold an event that is neither late nor a repeat, and book its outcome."""
        outcomes, emitter = self.outcomes, self._emitter
        if event.actor == "human_agent":
            outcomes.unbilled_human_agent += 1
            return
        emitter.names = known.names
        emitter.openings = 0
        if event.type == NOTIFICATION:
            emitter.opened("notification", Window(event.time_us, event.time_us, 0, 1))
        elif event.type == ALERT:
            emitter.opened("alert", Window(event.time_us, event.time_us, 0, 1))
        if event.type != ALERT:
            inbound = event.direction == "inbound" and event.type != NOTIFICATION
            known.windows.add(event.time_us, inbound, self.policy, emitter)
        if event.environment == "developer":
            outcomes.unbilled_developer += 1
        elif event.environment == "test":
            outcomes.unbilled_test += 1
        elif emitter.openings:
            outcomes.opened += 1
        else:
            outcomes.joined += 1

    def _advance(self, watermark_us: int) -> None:
        """Move the watermark forward, and close what is final, whole minutes at a time."""
        if watermark_us <= self.watermark_us:
            return
        self.watermark_us = watermark_us
        complete = watermark_us - self.policy.lateness_us
        complete -= complete % MICROS_PER_MINUTE
        if complete > self._closed_us:
            self._closed_us = complete
            self._close(complete)

    def _close(self, complete: int) -> None:
        """Close in the order of the keys, which no history of queueing can change (law 2)."""
        candidates: set[str] = set()
        while self._due and self._due[0][0] <= complete:
            candidates.add(heapq.heappop(self._due)[1])
        for key in sorted(candidates):
            known = self._keys.get(key)
            if known is None:
                continue
            windows = known.windows
            deadline = windows.deadline(self.policy)
            if deadline is not None and deadline <= complete:
                self._emitter.names = known.names
                windows.close(complete, self.policy, self._emitter)
                self._mark_dirty(key, known)
                deadline = windows.deadline(self.policy)
            if deadline is None:
                del self._keys[key]
            else:
                self._queue(deadline, key, windows)

    def _queue(self, deadline: int, key: str, windows: KeyWindows) -> None:
        windows.queued = deadline
        heapq.heappush(self._due, (deadline, key))

    def _mark_dirty(self, key: str, known: _Open) -> None:
        if not known.dirty:
            known.dirty = True
            self._dirty[key] = None

    def take_changes(self) -> Iterable[tuple[bytes, bytes | None]]:
        """See `PartitionMachine.take_changes`. The record key is `environment/workspace/app/channel/user`."""
        changes: list[tuple[bytes, bytes | None]] = []
        for key in self._dirty:
            known = self._keys.get(key)
            if known is None:
                changes.append((key.encode(), None))
            else:
                known.dirty = False
                changes.append((key.encode(), _pack(known.windows.packed())))
        self._dirty.clear()
        return changes

    def restore(self, key: bytes, value: bytes) -> None:
        """See `PartitionMachine.restore`."""
        text = key.decode()
        environment, workspace, app, channel, user = text.split("/", 4)
        names = KeyNames(environment, workspace, app, channel, user, self.policy.account_partitions)
        self._keys[text] = _Open(names, KeyWindows.unpacked(_unpack(value)))

    def restored(self, checkpoint: bytes | None) -> None:
        """See `PartitionMachine.restored`."""
        if checkpoint is not None:
            held = msgspec.msgpack.decode(checkpoint, type=_Checkpoint)
            self.watermark_us, self._closed_us, self.outcomes = held.watermark_us, held.closed_us, held.outcomes
        for key, known in list(self._keys.items()):
            deadline = known.windows.deadline(self.policy)
            if deadline is None or deadline <= self._closed_us:
                # Closed before that checkpoint: a paused worker wrote it again after its tombstone was compacted away.
                del self._keys[key]
                self._dirty[key] = None
            else:
                self._queue(deadline, key, known.windows)

    def checkpoint(self) -> bytes:
        """See `PartitionMachine.checkpoint`."""
        return _pack(_Checkpoint(self.watermark_us, self._closed_us, self.outcomes))
