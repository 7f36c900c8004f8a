"""The accounts of one partition of `account.inbox`: the state machine that the durable protocol runs.

Records are folded one by one, so a batch may be cut anywhere (law 2). Marks drop repeated units and watermarks (law 3),
whatever cannot be decoded or believed is set aside (law 7), only what changed is written. Ledger and alerts keep the
inbox partition's number and the workspace as key.

Two clocks (`clocking`): `now` for alerts, `complete` for lapses, so that what each grant paid for does not depend on
the order in which units arrive within the allowed lateness.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from schemas.alerts import Alert
from schemas.aside import MAX_KEPT_CHARACTERS, SetAside
from schemas.commands import Command, InboxRecord, decode_inbox
from schemas.entitlements import Entitlement, entitlement_key
from schemas.errors import InvalidRecord, excerpt
from schemas.ledger import encode_ledger
from schemas.replies import Reply, digest_of
from schemas.topics import ALERTS, ENTITLEMENTS, INBOX, LEDGER, PAYMENT_REQUESTS, REJECTED, REPLIES
from schemas.units import Origin, Unit, Watermark
from streams.accounts.addressing import addressed
from streams.accounts.agenda import Agenda
from streams.accounts.announcing import Announcer, is_silent
from streams.accounts.apply import commit
from streams.accounts.clocking import pass_time, schedule
from streams.accounts.decide import decide
from streams.accounts.decision import ClockMoved, Decision, Moment
from streams.accounts.old_snapshot import decode_checkpoint, is_old
from streams.accounts.open_charges import forget
from streams.accounts.ordinary import OrdinaryCharges
from streams.accounts.plausible import check_instants
from streams.accounts.policy import Policy
from streams.accounts.records import FORMAT, CorruptState
from streams.accounts.shelf import Shelf
from streams.accounts.sources import Sources
from streams.accounts.state import BUCKET_US, AccountState, Clock
from streams.accounts.view import Accounts
from streams.durable.machine import Output, RawRecord

_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode


class _Checkpoint(Struct, array_like=True):
    format: int
    settings: str
    marks: list[tuple[int, int, int]]
    clocks: list[tuple[int, int, int]]
    clock: tuple[int, int]
    counts: list[tuple[str, int]]


_unpack = msgspec.msgpack.Decoder(_Checkpoint).decode


class AccountsPartition:
    """All accounts of one inbox partition. `rejected_partitions`: how many partitions the rejected topic has; without
    `in_lanes` every unit is decided in full, to the same effect and slower."""

    def __init__(self, partition: int, policy: Policy, rejected_partitions: int = 1, in_lanes: bool = True) -> None:
        self.partition = partition
        self.policy = policy
        self.shelf = Shelf(policy)
        self.sources = Sources()
        self.agenda = Agenda()
        self.counts: dict[str, int] = {}
        """What became of the inbox records (law 7): posted, unchanged, repeated, refused, clock or rejected."""
        self._rejected_partition = partition % rejected_partitions
        self._ordinary = OrdinaryCharges(policy, partition)
        self._in_lanes = in_lanes

    def restore(self, key: bytes, value: bytes) -> None:
        """Take back one state record."""
        self.shelf.restore(key, value)

    def restored(self, checkpoint: bytes | None) -> None:
        """Take back the marks and clocks, and look over what was restored; CorruptState if it does not fit."""
        settings = self._ordinary.settings
        if checkpoint is not None:
            held = _checkpoint(checkpoint)
            settings = held.settings
            self.sources.marks = {source: (offset, index) for source, offset, index in held.marks}
            self.sources.clocks = {source: Clock(now, complete) for source, now, complete in held.clocks}
            self.sources.clock = Clock(*held.clock)
            self.counts = dict(held.counts)
        self.shelf.restored(self.sources.clock.complete_us)
        for workspace, account in self.shelf.held.items():
            self.agenda.add(workspace, account.alarm_us, account.lapse_us)
            for bucket in self.shelf.buckets(account):
                self.agenda.add_bucket(workspace, bucket)
        if settings != self._ordinary.settings:
            for workspace in self.shelf.held:
                state = self.shelf.state(workspace)
                state.added = list(state.grants)
                self._schedule(state)
                self.shelf.close(state, has_changed=True)

    def step(self, records: Sequence[RawRecord]) -> list[Output]:
        """Fold a contiguous run of inbox records; the outputs in order."""
        outputs: list[Output] = []
        for raw in records:
            try:
                fact = decode_inbox(raw.value)
                check_instants(fact)
            except InvalidRecord as error:
                outputs.append(self._aside(raw, error))
                outcome = "rejected"
            else:
                outcome = self._fold(fact, raw, outputs)
            self.counts[outcome] = self.counts.get(outcome, 0) + 1
        return outputs

    @property
    def accounts(self) -> Mapping[str, AccountState]:
        """The accounts as they stand, to look at: each a copy."""
        return Accounts(self.shelf)

    def take_changes(self) -> list[tuple[bytes, bytes | None]]:
        """The records that changed since the last call (see `snapshot`)."""
        return self.shelf.take_changes()

    def outcome_counts(self) -> dict[str, int]:
        """See `PartitionMachine.outcome_counts`."""
        return dict(self.counts)

    def checkpoint(self) -> bytes:
        """Marks, clocks and counts at the position reached."""
        sources = self.sources
        marks = [(source, *mark) for source, mark in sorted(sources.marks.items())]
        clocks = [(source, *clock) for source, clock in sorted(sources.clocks.items())]
        settings = self._ordinary.settings
        return _pack(_Checkpoint(FORMAT, settings, marks, clocks, sources.clock, sorted(self.counts.items())))

    def _fold(self, fact: InboxRecord, raw: RawRecord, outputs: list[Output]) -> str:
        """Fold one record; what became of it."""
        if isinstance(fact, Command):
            before = len(outputs)
            decision = self._decide(fact, raw, outputs)
            outputs.append(self._reply(fact, decision, raw.offset, len(outputs) - before))
            if decision.record is None:
                return "repeated"
            return "refused" if decision.record.kind == "command_refused" else "posted"
        if self.sources.is_repeat(fact.origin):
            return "repeated"
        if isinstance(fact, Watermark):
            if self.sources.hear(fact):
                self._pass_time(raw.offset, outputs)
            return "clock"
        held = self.shelf.held.get(fact.workspace)
        if held is not None and self._in_lanes:
            found = self._ordinary.take(self.shelf, held, fact, raw.offset, self.sources.clock.complete_us)
            if found is not None:
                if not found:
                    return "unchanged"
                outputs.append(Output(LEDGER, self.partition, fact.workspace.encode(), found))
                self.agenda.add_bucket(held.workspace, fact.start_us // BUCKET_US)
                return "posted"
        decision = self._decide(fact, raw, outputs)
        if decision.aside:
            error = InvalidRecord("final_unit", "start_us", str(fact.start_us), "U5", decision.aside)
            outputs.append(self._aside(raw, error))
            return "rejected"
        return "unchanged" if decision.record is None else "posted"

    def _decide(self, fact: Unit | Command, raw: RawRecord, outputs: list[Output]) -> Decision:
        clock = self.sources.clock
        workspace = fact.workspace
        state = self.shelf.state(workspace)
        decision = decide(state, fact, Moment(self.partition, raw.offset, clock), self.policy)
        record = decision.record
        has_changed = False
        if isinstance(fact, Unit) and fact.start_us > state.newest_us and not decision.aside:
            state.newest_us = fact.start_us
            has_changed = True
        if record is None and decision.moved is None:
            self.shelf.close(state, has_changed)
            return decision
        commit(state, decision, clock)
        emitted, reschedules = self._emit(decision, outputs), False
        if record is not None and record.kind != "command_refused" and not is_silent(state, record):
            moment = Moment(self.partition, raw.offset, clock)
            told = Announcer(state, moment, self.policy, emitted, record.time_us).record(record)
            reschedules = self._announce(told, outputs) > 0
        if isinstance(fact, Unit) and (record is None or record.charges):
            self.agenda.add_bucket(workspace, fact.start_us // BUCKET_US)
        elif record is not None:
            for charge in record.charges:  # of late events (U6)
                self.agenda.add_bucket(workspace, charge.start_us // BUCKET_US)
        if record is not None and (record.grants or record.changes or reschedules):
            self._schedule(state)
        self.shelf.close(state, has_changed=True)
        return decision

    def _pass_time(self, offset: int, outputs: list[Output]) -> None:
        """The clock has moved: alerts, lapses, and what can no longer change is forgotten."""
        clock = self.sources.clock
        index = 0
        for workspace in self.agenda.due(clock, self.shelf.held):
            state = self.shelf.state(workspace)
            decision = decide(state, ClockMoved(), Moment(self.partition, offset, clock, index), self.policy)
            commit(state, decision, clock)
            pass_time(state, clock, self.policy)
            index += self._emit(decision, outputs)
            moment = Moment(self.partition, offset, clock, index)
            told = Announcer(state, moment, self.policy, 0, clock.now_us).clock()
            index += self._announce(told, outputs)
            self._schedule(state)
            self.shelf.close(state, has_changed=True)
        for bucket, workspace in self.agenda.final_buckets(clock.complete_us):
            account = self.shelf.held[workspace]
            if self.shelf.has_bucket(account, bucket) and not self.shelf.forget(account, bucket):
                state = self.shelf.state(workspace)
                forget(state, bucket)
                self._schedule(state)
                self.shelf.close(state, has_changed=True)

    def _schedule(self, state: AccountState) -> None:
        before = (state.next_alarm_us, state.next_lapse_us)
        schedule(state, self.sources.clock, self.policy)
        if (state.next_alarm_us, state.next_lapse_us) != before:
            self.agenda.add(state.workspace, state.next_alarm_us, state.next_lapse_us)

    def _emit(self, decision: Decision, outputs: list[Output]) -> int:
        """Append a decision's outputs; how many."""
        before = len(outputs)
        record = decision.record
        if record is not None:
            outputs.append(Output(LEDGER, self.partition, record.workspace.encode(), encode_ledger(record)))
        for alert in decision.alerts:
            self._alert(alert, outputs)
        for request in decision.requests:
            outputs.append(Output(PAYMENT_REQUESTS, self.partition, request.workspace.encode(), _encode(request)))
        return len(outputs) - before

    def _announce(self, told: Sequence[Entitlement | Alert], outputs: list[Output]) -> int:
        """Append what gateways and owners are told; how many."""
        for one in told:
            if isinstance(one, Entitlement):
                key = entitlement_key(one.workspace, one.app)
                outputs.append(Output(ENTITLEMENTS, self.partition, key, _encode(one)))
            else:
                self._alert(one, outputs)
        return len(told)

    def _reply(self, command: Command, decision: Decision, offset: int, index: int) -> Output:
        """The answer to a command, also to one given before (law 3)."""
        workspace, command_id, digest = command.workspace, command.command_id, digest_of(command)
        known = self.shelf.in_use(workspace).seen(command_id)
        decided = next(seen.offset for seen in known if seen.digest == digest)
        origin = Origin(INBOX, self.partition, offset, index)
        reply = Reply(origin, workspace, command_id, digest, decided, decision.record)
        return Output(REPLIES, self.partition, workspace.encode(), _encode(reply))

    def _alert(self, alert: Alert, outputs: list[Output]) -> None:
        """Append an alert for whom it is for (A3)."""
        alert = addressed(self.shelf.in_use(alert.workspace), alert)
        outputs.append(Output(ALERTS, self.partition, alert.workspace.encode(), _encode(alert)))

    def _aside(self, raw: RawRecord, error: InvalidRecord) -> Output:
        """An inbox record set aside with its reason (law 7)."""
        value = raw.value or b""
        kept = value[:MAX_KEPT_CHARACTERS].decode("utf-8", "replace")[:MAX_KEPT_CHARACTERS]
        aside = SetAside(
            Origin(INBOX, self.partition, raw.offset, 0), error.reason, excerpt(error.field), excerpt(error.value),
            excerpt(error.rule), error.detail[:1024], max(0, raw.timestamp_ms) * 1000, len(value),
            hashlib.sha256(value).hexdigest(), kept,
        )  # fmt: skip
        key = f"{INBOX}/{self.partition}/{raw.offset}".encode()
        return Output(REJECTED, self._rejected_partition, key, _encode(aside))


def _checkpoint(value: bytes) -> _Checkpoint:
    try:
        if is_old(value):
            old = decode_checkpoint(value)
            return _Checkpoint(FORMAT, "", old.marks, old.clocks, old.clock, old.counts)
        held = _unpack(value)
    except msgspec.DecodeError as error:
        raise CorruptState(f"the position record of accounts.changelog cannot be read: {error}") from None
    if held.format != FORMAT:
        raise CorruptState(f"accounts.changelog is of format {held.format}, this version reads format {FORMAT}")
    return held
