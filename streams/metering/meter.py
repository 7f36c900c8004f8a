"""METER on one partition of `interactions`: judge each record, fold it in, close what is over (rules U1-U12).

Laws it keeps: what it emits is a function of the input prefix, however batches are cut (2); each record ends in exactly
one outcome, counted in `outcomes` (7); state is bounded by the allowed lateness (6). No I/O, no clock: "now" is the
record's append time for U6, and the partition's watermark for everything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from schemas.errors import InvalidRecord
from schemas.instants import MICROS_PER_MINUTE, text_of
from schemas.interactions import ALERT, MESSAGE, NOTIFICATION, REROUTED_HEADER, TICK, Data, Event, interaction, read
from schemas.routing import interaction_key, partition_of
from streams.durable.machine import Output, RawRecord
from streams.metering.due import DueKeys
from streams.metering.emitter import Emitter
from streams.metering.history import ACTIVITY, EVENTS_A_CHUNK, INBOUND, identity_of
from streams.metering.keys import OpenKey, OpenKeys, deadline_of
from streams.metering.policy import MeterPolicy
from streams.metering.windows import Window

_INBOUND_ACTIVITY = INBOUND | ACTIVITY
_pack = msgspec.msgpack.Encoder().encode


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


class MeterPartition:
    """The `PartitionMachine` of METER. Times are microseconds UTC."""

    def __init__(self, partition: int, policy: MeterPolicy) -> None:
        self.partition = partition
        self.policy = policy
        self.watermark_us = 0
        self.outcomes = Outcomes()
        self._closed_us = 0
        self._keys = OpenKeys(policy)
        self._due = DueKeys()
        self._emitter = Emitter(partition, policy)

    @property
    def open_keys(self) -> int:
        """How many keys hold state now (law 6)."""
        return len(self._keys.held)

    def step(self, records: Sequence[RawRecord]) -> list[Output]:
        """Fold a contiguous run of records; returns the outputs in order (see `PartitionMachine.step`).

        The hot path (`python -m scripts.bench.meter`), hence flat: a live message that falls into the newest session of
        its key and changes nothing but counts is folded here; everything else takes the long way.
        """
        keys, outcomes, emitter = self._keys, self.outcomes, self._emitter
        held, unpacked, changed = keys.held, keys.unpacked, keys.changed
        # The newest session's start is an activity, so within the gap as well the conversation goes on.
        span_us = min(self.policy.session_us, self.policy.gap_us)
        future_us, lateness_us = self.policy.future_us, self.policy.lateness_us
        watermark_us = self.watermark_us
        closes_at_us, closed_us = self._closes_at_us(), self._closed_us
        joined = stamp_ms = latest_us = 0
        for record in records:
            try:
                event, time = read(record.value)
            except InvalidRecord as error:
                emitter.begin(record.offset)
                outcomes.rejected += 1
                emitter.rejected(record, error, watermark_us)
                continue
            if record.timestamp_ms != stamp_ms:
                stamp_ms = record.timestamp_ms
                latest_us = stamp_ms * 1000 + future_us
            data = event.data
            if data is not None and event.type == MESSAGE:
                key = f"{data.environment}/{data.workspace}/{data.app}/{data.channel}/{data.user}"
                known = unpacked.get(key)
                if known is None and (packed := held.get(key)) is not None:
                    known = keys.unpack(key, packed)
                if (
                    known is not None
                    and (session := known.session) is not None
                    and (start := session.start) <= time < start + span_us
                    and watermark_us - lateness_us <= time < closes_at_us
                    and closed_us <= time
                    and time <= latest_us
                    and (session.inbound or data.direction != "inbound")
                    and data.actor == "app"
                    and data.environment == "live"
                ):
                    if time > watermark_us:
                        watermark_us = time
                    events = known.unpacked
                    if events is None:
                        events = known.events()
                    identity = identity_of(event.source, event.id)
                    if (identity in events or known.sealed is not None) and known.holds(identity, self._closed_us):
                        outcomes.repeated += 1
                        continue
                    conversation = known.conversation
                    assert conversation is not None
                    if data.direction == "inbound":
                        events[identity] = time << 2 | _INBOUND_ACTIVITY
                        session.inbound += 1
                        conversation.inbound += 1
                    else:
                        events[identity] = time << 2 | ACTIVITY
                        session.outbound += 1
                        conversation.outbound += 1
                    if time > session.last:
                        session.last = time
                        if time > conversation.last:
                            conversation.last = time
                    if not known.changed:
                        known.changed = True
                        changed[key] = known
                    if len(events) >= EVENTS_A_CHUNK:
                        keys.seal(key, known)
                    joined += 1
                    continue
            self.watermark_us = watermark_us
            outcomes.joined += joined
            joined = 0
            emitter.begin(record.offset)
            if time > latest_us:
                outcomes.rejected += 1
                emitter.rejected(record, self._from_the_future(time, stamp_ms), watermark_us)
            elif data is None or event.type == TICK:
                self._tick(time)
            else:
                self._event(record, event, data, time)
            watermark_us = self.watermark_us
            closes_at_us, closed_us = self._closes_at_us(), self._closed_us
        self.watermark_us = watermark_us
        outcomes.joined += joined
        outputs, emitter.outputs = emitter.outputs, []
        return outputs

    def _from_the_future(self, time: int, timestamp_ms: int) -> InvalidRecord:
        """U6: an event more than five minutes after its append time must not move the watermark."""
        detail = f"the event is in the future: it was received at {text_of(timestamp_ms * 1000)}"
        rule = f"at most {self.policy.future_us // 1_000_000} s ahead of the broker's append time (U6)"
        return InvalidRecord("too_early", "time", text_of(time), rule, detail)

    def _tick(self, time: int) -> None:
        self.outcomes.tick += 1
        self._advance(time)
        self._emitter.watermark(self.watermark_us, msgspec.structs.asdict(self.outcomes))

    def _event(self, record: RawRecord, event: Event, data: Data, time: int) -> None:
        """Any event: judge it, fold it in, and book its outcome."""
        key = f"{data.environment}/{data.workspace}/{data.app}/{data.channel}/{data.user}"
        if key not in self._keys.held and not self._belongs_here(record, data):
            self.outcomes.rerouted += 1
            self._emitter.reroute(record, interaction(event, time))
            return
        # What was closed stays so, also if more lateness is allowed since: its units are final (U11), and late events
        # may have been admitted there.
        if time < max(self.watermark_us - self.policy.lateness_us, self._closed_us):
            self.outcomes.late += 1
            self._emitter.late(record, interaction(event, time), self.watermark_us)
            return
        self._advance(time)
        known = self._open_key(key, data)
        identity = identity_of(event.source, event.id)
        if known.holds(identity, self._closed_us):
            self.outcomes.repeated += 1
            return
        known.changed = True
        self._keys.changed[key] = known
        self._count(key, known, event, data, time, identity)
        due_us = known.look_again(self.policy)
        assert due_us is not None, "the key holds this event"
        if known.deadline == 0 or due_us < known.deadline:
            known.deadline = due_us
            self._due.add(due_us, key)

    def _belongs_here(self, record: RawRecord, data: Data) -> bool:
        key = interaction_key(data.workspace, data.app, data.channel, data.user)
        if partition_of(key, self.policy.interaction_partitions) == self.partition:
            return True
        return any(name == REROUTED_HEADER for name, _ in record.headers)

    def _open_key(self, key: str, data: Data) -> OpenKey:
        keys = self._keys
        known = keys.unpacked.get(key)
        if known is not None:
            return known
        packed = keys.held.get(key)
        if packed is not None:
            return keys.unpack(key, packed)
        return keys.new(key, data.environment, data.workspace, data.app, data.channel, data.user)

    def _count(self, key: str, known: OpenKey, event: Event, data: Data, time: int, identity: bytes) -> None:
        """Fold in an event that is neither late nor a repeat."""
        keys, emitter, kind = self._keys, self._emitter, event.type
        active = data.actor == "app" and kind != ALERT
        inbound = data.direction == "inbound" and kind != NOTIFICATION
        known.events()[identity] = time << 2 | active * ACTIVITY | inbound * INBOUND
        if time > known.newest_us:
            known.newest_us = time
        emitter.about(known.names, known.user)
        if data.actor == "app" and kind == NOTIFICATION:
            emitter.opened("notification", Window(time, time, 0, 1))
        elif data.actor == "app" and kind == ALERT:
            emitter.opened("alert", Window(time, time, 0, 1))
        if active:
            known.windows.add(time, inbound, self.policy, known.activity, emitter)
        if len(known.events()) >= EVENTS_A_CHUNK:
            keys.seal(key, known)
        self._book(data)

    def _book(self, data: Data) -> None:
        outcomes = self.outcomes
        if data.actor == "human_agent":
            outcomes.unbilled_human_agent += 1
        elif data.environment == "developer":
            outcomes.unbilled_developer += 1
        elif data.environment == "test":
            outcomes.unbilled_test += 1
        elif self._emitter.openings:
            outcomes.opened += 1
        else:
            outcomes.joined += 1

    def _closes_at_us(self) -> int:
        """The watermark at which `_advance` has something to close."""
        return self._closed_us + MICROS_PER_MINUTE + self.policy.lateness_us

    def _advance(self, watermark_us: int) -> None:
        """Move the watermark forward, and close what is final, whole minutes at a time."""
        if watermark_us <= self.watermark_us:
            return
        self.watermark_us = watermark_us
        complete = watermark_us - self.policy.lateness_us
        complete -= complete % MICROS_PER_MINUTE
        if complete > self._closed_us:
            self._closed_us = complete
            for key in self._due.take(complete):
                self._close(key, complete)

    def _close(self, key: str, complete: int) -> None:
        keys, emitter = self._keys, self._emitter
        known = keys.unpacked.get(key)
        if known is None:
            packed = keys.held.get(key)
            if packed is None:
                return
            if deadline_of(packed) > complete:
                self._due.add(deadline_of(packed), key)
                return
            known = keys.unpack(key, packed)
        due_us = known.due_us
        if due_us is not None and due_us <= complete:
            emitter.about(known.names, known.user)
            known.close(complete, self.policy, emitter)
            keys.forget_sealed(key, known)
            known.changed = True
            keys.changed[key] = known
            due_us = known.look_again(self.policy)
        if due_us is None:
            keys.end(key)
        else:
            known.deadline = due_us
            self._due.add(due_us, key)

    def take_changes(self) -> Iterable[tuple[bytes, bytes | None]]:
        """See `PartitionMachine.take_changes`. See `keys` for what the records are."""
        return self._keys.take_changes()

    def restore(self, key: bytes, value: bytes) -> None:
        """See `PartitionMachine.restore`."""
        self._keys.restore(key, value)

    def restored(self, checkpoint: bytes | None) -> None:
        """See `PartitionMachine.restored`."""
        if checkpoint is not None:
            held = msgspec.msgpack.decode(checkpoint, type=_Checkpoint)
            self.watermark_us, self._closed_us, self.outcomes = held.watermark_us, held.closed_us, held.outcomes
        self._due.add_all(self._keys.restored(self._closed_us))

    def outcome_counts(self) -> dict[str, int]:
        """See `PartitionMachine.outcome_counts`."""
        return msgspec.structs.asdict(self.outcomes)

    def checkpoint(self) -> bytes:
        """See `PartitionMachine.checkpoint`."""
        return _pack(_Checkpoint(self.watermark_us, self._closed_us, self.outcomes))
