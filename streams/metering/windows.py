"""One end user's open conversations and sessions, independent of the order of arrival (rules U1, U2, U5, U12, U14).

Law it keeps: after any sequence of `add`, the units opened less those retracted are the units of a batch recount over
the same events. A unit keeps its id while its start stays within its UTC day; `close` drops what no accepted event can
change any more (law 6). Sessions are cut within their conversation: a gap that ends one always ends a session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Struct

from schemas.instants import day_of
from schemas.units import UnitKind
from streams.metering.history import Activity
from streams.metering.policy import MeterPolicy


class Window(Struct, array_like=True, gc=False):
    """A session, or what a conversation has in common with one. Instants are microseconds UTC, both ends inclusive.

    `offset` and `index` say which output opened the unit: its id derives from them.
    """

    start: int
    last: int
    inbound: int
    outbound: int
    revision: int = 0
    offset: int = 0
    index: int = 0

    def count(self, time: int, inbound: bool) -> None:
        """Take one more event in; the start is not moved."""
        if inbound:
            self.inbound += 1
        else:
            self.outbound += 1
        if time > self.last:
            self.last = time


class Session(Window, array_like=True, gc=False):
    """A session (U2) and the output that opened the conversation it was last said to belong to (U14)."""

    conversation_offset: int = 0
    conversation_index: int = 0

    def link(self, conversation: Conversation) -> None:
        """Belong to a conversation from now on."""
        self.conversation_offset = conversation.offset
        self.conversation_index = conversation.index

    def belongs_to(self, conversation: Conversation) -> bool:
        """Whether it was last said to belong to this conversation."""
        return self.conversation_index == conversation.index and self.conversation_offset == conversation.offset


class Conversation(Window, array_like=True, gc=False):
    """A gap conversation (U1) and its open sessions (U2), oldest first."""

    sessions: list[Session] = []


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


Remembered = Callable[[], Activity]
"""A key's activity, looked up only when sessions must be cut anew."""
CONVERSATION: Final = "conversation"
SESSION: Final = "session"


class KeyWindows(Struct, array_like=True, gc=False):
    """All units open of one (workspace, app, channel, end user, environment) (rule U3); its events are in `history`."""

    conversations: list[Conversation] = []
    floor: int = 0
    """Events before this are forgotten, identities included."""
    first_chunk: int = 0
    next_chunk: int = 0

    @property
    def last(self) -> int:
        """The last activity of the newest conversation, 0 if none is open."""
        return self.conversations[-1].last if self.conversations else 0

    def add(self, time: int, inbound: bool, policy: MeterPolicy, activity: Remembered, emit: Emit) -> None:
        """Fold one activity in, which `activity` knows already. The caller has dropped repeats and late events."""
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
        self._cut(conversation, time, inbound, policy.session_us, activity, emit)

    def _open(self, time: int, inbound: bool, emit: Emit) -> None:
        session = Session(time, time, int(inbound), int(not inbound))
        conversation = Conversation(time, time, int(inbound), int(not inbound), sessions=[session])
        emit.opened(CONVERSATION, conversation)
        session.link(conversation)
        emit.opened(SESSION, session)
        self.conversations.append(conversation)
        if len(self.conversations) > 1:
            self.conversations.sort(key=lambda c: c.start)

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

    def _cut(
        self, conversation: Conversation, time: int, inbound: bool, session_us: int, activity: Remembered, emit: Emit
    ) -> None:
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
        if before == len(sessions) and time == conversation.last:  # the newest event, and no session holds it
            session = Session(time, time, int(inbound), int(not inbound))
            session.link(conversation)
            emit.opened(SESSION, session)
            sessions.append(session)
        else:
            self._recut(conversation, before, boundary, session_us, activity(), emit)
        self._relink(conversation, emit)

    def _recut(
        self, conversation: Conversation, keep: int, boundary: int, session_us: int, activity: Activity, emit: Emit
    ) -> None:
        """Greedy sessions from the first event at or after `boundary`, until they fall in with the old ones."""
        old = conversation.sessions[keep:]
        fresh: list[Session] = []
        matched = 0
        end = conversation.last + 1
        start = activity.next_at(boundary)
        while start is not None and start < end:
            while matched < len(old) and old[matched].start < start:
                matched += 1
            if matched < len(old) and old[matched].start == start:
                break
            last, inbound, outbound = activity.between(start, min(start + session_us, end))
            fresh.append(Session(start, last, inbound, outbound))
            start = activity.next_at(start + session_us)
        else:
            matched = len(old)
        aligned = _align(old[:matched], fresh, conversation, emit)
        conversation.sessions[keep:] = aligned + old[matched:]

    def _relink(self, conversation: Conversation, emit: Emit) -> None:
        """Sessions name the conversation they belong to now (U14); if any does not, the last one does not."""
        if conversation.sessions[-1].belongs_to(conversation):
            return
        for session in conversation.sessions:
            if not session.belongs_to(conversation):
                session.link(conversation)
                emit.revised(SESSION, session, session.inbound > 0)

    def close(self, complete: int, policy: MeterPolicy, emit: Emit) -> bool:
        """Close what no event at or after `complete` can change; whether older events may be forgotten for good."""
        self.floor = complete
        conversations = self.conversations
        over: list[Conversation] = []
        for conversation in conversations:
            sessions = conversation.sessions
            while sessions and sessions[0].start + policy.session_us <= complete:
                emit.closed(SESSION, sessions.pop(0))
            if not sessions and conversation.last + policy.gap_us < complete:
                emit.closed(CONVERSATION, conversation)
                over.append(conversation)
        if over:
            self.conversations = [conversation for conversation in conversations if conversation not in over]
        return bool(over) or not conversations

    def deadline(self, policy: MeterPolicy) -> int | None:
        """The lowest `complete` at which `close` has something to close; None when nothing is open."""
        lowest: int | None = None
        for conversation in self.conversations:
            sessions = conversation.sessions
            at = sessions[0].start + policy.session_us if sessions else conversation.last + policy.gap_us + 1
            if lowest is None or at < lowest:
                lowest = at
        return lowest


def _move_start(kind: UnitKind, window: Window, start: int, was_interactive: bool, emit: Emit) -> None:
    """Move a unit's start: the same unit within its UTC day, another one across midnight (U5)."""
    if day_of(start) == day_of(window.start):
        window.start = start
        emit.revised(kind, window, was_interactive)
        return
    emit.retracted(kind, window, was_interactive)
    window.start = start
    emit.opened(kind, window)


def _align(old: list[Session], fresh: list[Session], conversation: Conversation, emit: Emit) -> list[Session]:
    """Give re-cut sessions the ids of the ones they replace, in order: mild disorder moves units, it makes none."""
    aligned: list[Session] = []
    for index, window in enumerate(fresh):
        window.link(conversation)
        if index >= len(old):
            emit.opened(SESSION, window)
            aligned.append(window)
            continue
        kept = old[index]
        was_interactive = kept.inbound > 0
        kept.last, kept.inbound, kept.outbound = window.last, window.inbound, window.outbound
        kept.link(conversation)
        _move_start(SESSION, kept, window.start, was_interactive, emit)
        aligned.append(kept)
    for window in old[len(fresh) :]:
        emit.retracted(SESSION, window, window.inbound > 0)
    return aligned
