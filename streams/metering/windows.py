"""One end user's open conversations and sessions, independent of the order of arrival (rules U1, U2, U5, U12, U14).

Law it keeps: after any sequence of `add`, the units opened less those retracted are the units of a batch recount over
the same events. A unit keeps its id while its start stays within its UTC day; `close` drops what no accepted event can
change any more (law 6). Sessions are cut within their conversation: a gap that ends one always ends a session.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import Any, Final, Protocol

from schemas.instants import day_of
from schemas.units import UnitKind
from streams.metering.policy import MeterPolicy


class Window:
    """A session, or what a conversation has in common with one. Instants are microseconds UTC, both ends inclusive."""

    __slots__ = ("conversation_id", "inbound", "last", "outbound", "revision", "start", "unit_id")

    def __init__(self, start: int, last: int, inbound: int, outbound: int) -> None:
        self.unit_id = ""
        self.conversation_id = ""
        self.revision = 0
        self.start = start
        self.last = last
        self.inbound = inbound
        self.outbound = outbound

    def count(self, time: int, inbound: bool) -> None:
        """Take one more event in; the start is not moved."""
        if inbound:
            self.inbound += 1
        else:
            self.outbound += 1
        if time > self.last:
            self.last = time

    def packed(self) -> tuple[Any, ...]:
        """The window as plain values, for the changelog."""
        return (
            self.unit_id, self.conversation_id, self.revision, self.start, self.last, self.inbound, self.outbound
        )  # fmt: skip

    def unpack(self, packed: Any) -> None:
        """Take plain values back."""
        (
            self.unit_id, self.conversation_id, self.revision, self.start, self.last, self.inbound, self.outbound
        ) = packed  # fmt: skip


class Conversation(Window):
    """A gap conversation (U1) and its open sessions (U2), oldest first."""

    __slots__ = ("sessions",)

    def __init__(self, start: int, last: int, inbound: int, outbound: int) -> None:
        super().__init__(start, last, inbound, outbound)
        self.sessions: list[Window] = []


class Emit(Protocol):
    """Where changes go. `was_interactive` is whether the unit held an end-user message before the change (U12)."""

    def opened(self, kind: UnitKind, window: Window) -> None:
        """A new unit: gives the window its id."""

    def revised(self, kind: UnitKind, window: Window, was_interactive: bool) -> None:
        """Start, link or interactivity changed; id and day did not."""

    def retracted(self, kind: UnitKind, window: Window, was_interactive: bool) -> None:
        """The unit never was: the opposite entry of everything posted for it."""

    def closed(self, kind: UnitKind, window: Window) -> None:
        """Final (U11)."""


CONVERSATION: Final = "conversation"
SESSION: Final = "session"


class KeyWindows:
    """Everything open of one (workspace, app, channel, end user, environment) (rule U3)."""

    __slots__ = ("conversations", "inbounds", "queued", "seen", "times")

    def __init__(self) -> None:
        self.conversations: list[Conversation] = []
        self.times: list[int] = []  # activity that can still matter, sorted
        self.inbounds: list[bool] = []  # in step with `times`
        self.seen: dict[bytes, int] = {}  # identity -> event time (U7)
        self.queued = 0  # when the machine looks at this key next; not part of the state

    def add(self, time: int, inbound: bool, policy: MeterPolicy, emit: Emit) -> None:
        """Fold one event in. The caller has dropped repeats and late events."""
        position = bisect_right(self.times, time)
        self.times.insert(position, time)
        self.inbounds.insert(position, inbound)
        gap = policy.gap_us
        touched = [c for c in self.conversations if c.start - gap <= time <= c.last + gap]
        if not touched:
            self._open(time, inbound, emit)
            return
        conversation = touched[0]
        if len(touched) == 2:
            self._bridge(conversation, touched[1], time, inbound, emit)
        else:
            self._extend(conversation, time, inbound, emit)
        self._cut(conversation, time, inbound, policy.session_us, emit)

    def _open(self, time: int, inbound: bool, emit: Emit) -> None:
        conversation = Conversation(time, time, int(inbound), int(not inbound))
        session = Window(time, time, int(inbound), int(not inbound))
        conversation.sessions.append(session)
        insort(self.conversations, conversation, key=lambda c: c.start)
        emit.opened(CONVERSATION, conversation)
        session.conversation_id = conversation.unit_id
        emit.opened(SESSION, session)

    def _extend(self, conversation: Conversation, time: int, inbound: bool, emit: Emit) -> None:
        was_interactive = conversation.inbound > 0
        conversation.count(time, inbound)
        if time >= conversation.start:
            if was_interactive != (conversation.inbound > 0):
                emit.revised(CONVERSATION, conversation, was_interactive)
        else:
            _move_start(CONVERSATION, conversation, time, was_interactive, emit)

    def _bridge(self, left: Conversation, right: Conversation, time: int, inbound: bool, emit: Emit) -> None:
        """The event joins two conversations: the earlier one stays, the later one never was."""
        emit.retracted(CONVERSATION, right, right.inbound > 0)
        self.conversations.remove(right)
        was_interactive = left.inbound > 0
        left.last = right.last
        left.inbound += right.inbound
        left.outbound += right.outbound
        left.sessions.extend(right.sessions)
        left.count(time, inbound)
        if was_interactive != (left.inbound > 0):
            emit.revised(CONVERSATION, left, was_interactive)

    def _cut(self, conversation: Conversation, time: int, inbound: bool, session_us: int, emit: Emit) -> None:
        """Bring the sessions in line with an event added at `time`."""
        sessions = conversation.sessions
        before = len(sessions)
        while before and sessions[before - 1].start > time:
            before -= 1
        boundary = time
        if before and time < sessions[before - 1].start + session_us:
            session = sessions[before - 1]
            was_interactive = session.inbound > 0
            session.count(time, inbound)
            if was_interactive != (session.inbound > 0):
                emit.revised(SESSION, session, was_interactive)
            boundary = session.start + session_us
            if before == len(sessions) or sessions[before].start >= boundary:
                self._relink(conversation, emit)
                return
        self._recut(conversation, before, boundary, session_us, emit)
        self._relink(conversation, emit)

    def _recut(self, conversation: Conversation, keep: int, boundary: int, session_us: int, emit: Emit) -> None:
        """Greedy sessions from the first event at or after `boundary`, until they fall in with the old ones."""
        old = conversation.sessions[keep:]
        fresh: list[Window] = []
        matched = 0
        position = bisect_left(self.times, boundary)
        stop = bisect_right(self.times, conversation.last)
        while position < stop:
            start = self.times[position]
            while matched < len(old) and old[matched].start < start:
                matched += 1
            if matched < len(old) and old[matched].start == start:
                break
            end = bisect_left(self.times, start + session_us, position, stop)
            inbound = sum(self.inbounds[position:end])
            fresh.append(Window(start, self.times[end - 1], inbound, end - position - inbound))
            position = end
        else:
            matched = len(old)
        aligned = _align(old[:matched], fresh, conversation.unit_id, emit)
        conversation.sessions[keep:] = aligned + old[matched:]

    def _relink(self, conversation: Conversation, emit: Emit) -> None:
        """Sessions name the conversation they belong to now (U14); if any does not, the last one does not."""
        if conversation.sessions[-1].conversation_id == conversation.unit_id:
            return
        for session in conversation.sessions:
            if session.conversation_id != conversation.unit_id:
                session.conversation_id = conversation.unit_id
                emit.revised(SESSION, session, session.inbound > 0)

    def close(self, complete: int, policy: MeterPolicy, emit: Emit) -> None:
        """Close what no event at or after `complete` can change, and forget what cannot matter any more."""
        staying: list[Conversation] = []
        for conversation in self.conversations:
            sessions = conversation.sessions
            while sessions and sessions[0].start + policy.session_us <= complete:
                emit.closed(SESSION, sessions.pop(0))
            if not sessions and conversation.last + policy.gap_us < complete:
                emit.closed(CONVERSATION, conversation)
            else:
                staying.append(conversation)
        self.conversations = staying
        gone = bisect_left(self.times, complete)
        del self.times[:gone], self.inbounds[:gone]
        self.seen = {identity: time for identity, time in self.seen.items() if time >= complete}

    def deadline(self, policy: MeterPolicy) -> int | None:
        """The lowest `complete` at which `close` has something to do; None when the key is empty."""
        if self.conversations:
            return min(
                c.sessions[0].start + policy.session_us if c.sessions else c.last + policy.gap_us + 1
                for c in self.conversations
            )
        return max(self.seen.values()) + 1 if self.seen else None

    def packed(self) -> tuple[Any, ...]:
        """The state as plain values, the same for the same state."""
        conversations = [(c.packed(), [s.packed() for s in c.sessions]) for c in self.conversations]
        return (conversations, self.times, self.inbounds, sorted(self.seen.items()))

    @classmethod
    def unpacked(cls, packed: Any) -> KeyWindows:
        """The state from its plain values."""
        self = cls()
        conversations, self.times, self.inbounds, seen = packed
        self.seen = dict(seen)
        for window, sessions in conversations:
            conversation = Conversation(0, 0, 0, 0)
            conversation.unpack(window)
            for values in sessions:
                session = Window(0, 0, 0, 0)
                session.unpack(values)
                conversation.sessions.append(session)
            self.conversations.append(conversation)
        return self


def _move_start(kind: UnitKind, window: Window, start: int, was_interactive: bool, emit: Emit) -> None:
    """Move a unit's start: the same unit within its UTC day, another one across midnight (U5)."""
    if day_of(start) == day_of(window.start):
        window.start = start
        emit.revised(kind, window, was_interactive)
        return
    emit.retracted(kind, window, was_interactive)
    window.start = start
    emit.opened(kind, window)


def _align(old: list[Window], fresh: list[Window], conversation_id: str, emit: Emit) -> list[Window]:
    """Give re-cut sessions the ids of the ones they replace, in order: mild disorder moves units, it makes none."""
    aligned: list[Window] = []
    for index, window in enumerate(fresh):
        window.conversation_id = conversation_id
        if index >= len(old):
            emit.opened(SESSION, window)
            aligned.append(window)
            continue
        kept = old[index]
        was_interactive = kept.inbound > 0
        kept.last, kept.inbound, kept.outbound = window.last, window.inbound, window.outbound
        kept.conversation_id = conversation_id
        _move_start(SESSION, kept, window.start, was_interactive, emit)
        aligned.append(kept)
    for window in old[len(fresh) :]:
        emit.retracted(SESSION, window, window.inbound > 0)
    return aligned
