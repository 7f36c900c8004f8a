"""The open keys of a partition: packed as their changelog records, unpacked while a batch touches them.

Laws it keeps: between batches a key is exactly the bytes that its changelog record holds, so what a restart brings back
is what was there (2); a key with nothing open is gone, its chunks with it (6). Sealed events (see `history`) have
records of their own. Leaves to others: what is in a state (`windows`), and when it is looked at (`due`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from schemas.errors import QuarterhourError
from streams.metering.emitter import AppNames
from streams.metering.history import Activity, Events, Sealed
from streams.metering.policy import MeterPolicy
from streams.metering.windows import Conversation, Emit, KeyWindows, Session

_CHUNK = "\x00"
"""Between a state key and a chunk number; no name or user id can hold it."""
_DEADLINE_BYTES = 8
WARM_KEYS: Final = 4096
"""So many keys that were touched last stay unpacked, and up to as many more that were touched before them."""
_MAX_APPS = 100_000


class _Packed(Struct, array_like=True, gc=False):
    """A state record behind its deadline; the events stay packed until they are asked for."""

    windows: KeyWindows
    newer_us: int
    """How much newer than the last activity the newest of the events is: most often 0, which is short."""
    events: msgspec.Raw


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Packed).decode
_unpack_events = msgspec.msgpack.Decoder(Events).decode


class CorruptState(QuarterhourError):
    """A key's state names a chunk that the changelog does not hold."""


class OpenKey(Struct, gc=False):
    """A key that was touched lately."""

    names: AppNames
    user: str
    windows: KeyWindows
    sealed: Sealed | None = None
    """Older events, if there are any."""
    deadline: int = 0
    """The key stands among the due ones at or before this; 0: nowhere yet."""
    due_us: int | None = None
    """The lowest `complete` at which something closes or the last event is forgotten; None when nothing is left."""
    record: bytes = b""
    """The state as the changelog has it, unless `changed`."""
    packed: msgspec.Raw | None = None
    """The newest events, until they are unpacked."""
    newest_us: int = 0
    """The newest time of any event so far, but for the open conversations', which is `windows.last`."""
    changed: bool = False
    conversation: Conversation | None = None
    """The newest conversation and its newest session, if that is open: what most events extend."""
    session: Session | None = None
    unpacked: Events | None = None

    @classmethod
    def of(cls, record: bytes, names: AppNames, user: str, sealed: Sealed | None) -> OpenKey:
        """A key from its state record."""
        packed = _unpack(memoryview(record)[_DEADLINE_BYTES:])
        newest_us = packed.windows.last + packed.newer_us
        due_us = deadline_of(record)
        known = cls(names, user, packed.windows, sealed, due_us, due_us, record, packed.events, newest_us)
        known._note_newest_units()
        return known

    def events(self) -> Events:
        """The newest events; `history` says what becomes of older ones."""
        if self.unpacked is None:
            assert self.packed is not None
            self.unpacked = _unpack_events(self.packed)
            self.packed = None
        return self.unpacked

    def renew_record(self) -> bytes:
        """The state as the changelog is to have it."""
        assert self.due_us is not None, "an empty key is gone"
        windows = self.windows
        events = self.packed if self.packed is not None else self.unpacked
        last = windows.last
        body = _pack((windows, max(self.newest_us, last) - last, events))
        self.record = self.due_us.to_bytes(_DEADLINE_BYTES, "big") + body
        self.changed = False
        return self.record

    def look_again(self, policy: MeterPolicy) -> int | None:
        """The windows have changed: when to look at them next, and which are the newest. Returns `due_us`."""
        self._note_newest_units()
        due_us = self.windows.deadline(policy)
        if due_us is None and self.newest_us and self.newest_us >= self.windows.floor:
            due_us = self.newest_us + 1
        self.due_us = due_us
        return due_us

    def _note_newest_units(self) -> None:
        conversations = self.windows.conversations
        self.session = None
        if conversations:
            self.conversation = conversations[-1]
            if self.conversation.sessions:
                self.session = self.conversation.sessions[-1]

    def activity(self) -> Activity:
        """All times of activity."""
        return Activity(self.events(), self.sealed)

    def holds(self, identity: bytes, closed_us: int) -> bool:
        """Whether an event of this identity counts already, of a time that is not closed (U7)."""
        if self.events().get(identity, -1) >> 2 >= closed_us:
            return True
        return self.sealed is not None and self.sealed.holds(identity, closed_us)

    def close(self, complete: int, policy: MeterPolicy, emit: Emit) -> None:
        """Close what no event at or after `complete` can change, and forget the newest events that lie before it."""
        self.newest_us = max(self.newest_us, self.windows.last)
        if not self.windows.close(complete, policy, emit):
            return
        if self.newest_us < complete:
            self.packed, self.unpacked = None, {}
        else:
            self.unpacked = {identity: time for identity, time in self.events().items() if time >> 2 >= complete}


def deadline_of(packed: bytes) -> int:
    """When the first unit of a packed key may close."""
    return int.from_bytes(packed[:_DEADLINE_BYTES], "big")


class OpenKeys:
    """Keys are `environment/workspace/app/channel/user`."""

    def __init__(self, policy: MeterPolicy) -> None:
        self.held: dict[str, bytes] = {}
        """Every key's state record, which is out of date (or empty) while the key is unpacked."""
        self.unpacked: dict[str, OpenKey] = {}
        """The keys in use; few, so that finding them is quick however many are held."""
        self.changed: dict[str, OpenKey | None] = {}
        """Keys whose state the changelog lacks; None: the key is gone."""
        self._warm: dict[str, OpenKey] = {}
        self._cooling: dict[str, OpenKey] = {}
        self._policy = policy
        self._sealed: dict[str, Sealed] = {}
        self._chunks: dict[bytes, bytes | None] = {}
        self._apps: dict[tuple[str, str, str, str], AppNames] = {}

    def new(self, key: str, environment: str, workspace: str, app: str, channel: str, user: str) -> OpenKey:
        """A key that nothing was open of."""
        known = OpenKey(self._names(environment, workspace, app, channel), user, KeyWindows(), unpacked={})
        self.held[key] = b""
        self.unpacked[key] = known
        return known

    def unpack(self, key: str, record: bytes) -> OpenKey:
        """Unpack a key that is about to be used."""
        environment, workspace, app, channel, user = key.split("/", 4)
        known = OpenKey.of(record, self._names(environment, workspace, app, channel), user, self._sealed.get(key))
        self.unpacked[key] = self._warm[key] = known
        return known

    def seal(self, key: str, known: OpenKey) -> None:
        """Make a chunk of the newest events."""
        if known.sealed is None:
            known.sealed = self._sealed[key] = Sealed()
        number = known.windows.next_chunk
        known.windows.next_chunk += 1
        self._chunks[_chunk_key(key, number)] = known.sealed.seal(number, known.events())
        known.unpacked = {}

    def forget_sealed(self, key: str, known: OpenKey) -> None:
        """Drop the chunks that lie before the floor, as long as none before them stays."""
        if known.sealed is not None:
            for number in known.sealed.forget(known.windows.floor):
                self._chunks[_chunk_key(key, number)] = None
                known.windows.first_chunk = number + 1
            if not known.sealed:
                known.sealed = None
                del self._sealed[key]

    def end(self, key: str) -> None:
        """Nothing is open of the key any more."""
        del self.held[key]
        self.unpacked.pop(key, None)
        self.changed[key] = None

    def take_changes(self) -> Iterable[tuple[bytes, bytes | None]]:
        """The records of what has changed since the last call."""
        changes = list(self._chunks.items())
        self._chunks.clear()
        for key, known in self.changed.items():
            if known is None:
                changes.append((key.encode(), None))
                continue
            self._warm[key] = known
            changes.append((key.encode(), known.renew_record()))
        self.changed.clear()
        if len(self._warm) >= WARM_KEYS:
            self._cool()
        return changes

    def _cool(self) -> None:
        """Pack again what has not been touched since the last time."""
        warm, held, unpacked = self._warm, self.held, self.unpacked
        for key, known in self._cooling.items():
            if key not in warm and unpacked.get(key) is known:
                held[key] = known.record
                del unpacked[key]
        self._cooling, self._warm = warm, {}

    def restore(self, key: bytes, value: bytes) -> None:
        """Take back one record that `take_changes` gave; `restored` follows when all are there."""
        text = key.decode()
        if _CHUNK in text:
            self._chunks[key] = value
        else:
            self.held[text] = value

    def restored(self, closed_us: int) -> Iterable[tuple[str, int]]:
        """Put the chunks back to their keys; each key and its deadline.

        What closed before `closed_us` was written again by a paused worker after its tombstone had been compacted away:
        it goes, and so do chunks that no key names.
        """
        found, self._chunks = self._chunks, {}
        size = _DEADLINE_BYTES
        due = [(key, int.from_bytes(packed[:size], "big")) for key, packed in self.held.items()]
        over = dict.fromkeys(key for key, deadline in due if deadline <= closed_us)
        for key in over:
            self.end(key)
        owners = {key.rsplit(_CHUNK.encode(), 1)[0].decode() for key in found}
        for key in sorted(owners):
            packed = self.held.get(key)
            if packed is not None:
                self._restore_chunks(key, _unpack(packed[_DEADLINE_BYTES:]).windows, found)
        self._chunks.update(dict.fromkeys(found))
        return [entry for entry in due if entry[0] not in over] if over else due

    def _restore_chunks(self, key: str, windows: KeyWindows, found: dict[bytes, bytes | None]) -> None:
        for number in range(windows.first_chunk, windows.next_chunk):
            chunk = found.pop(_chunk_key(key, number), None)
            if chunk is None:
                raise CorruptState(f"{key!r}: the changelog holds its state but not its chunk {number}")
            self._sealed.setdefault(key, Sealed()).restore(number, chunk)

    def _names(self, environment: str, workspace: str, app: str, channel: str) -> AppNames:
        names = self._apps.get((environment, workspace, app, channel))
        if names is None:
            if len(self._apps) >= _MAX_APPS:
                self._apps.clear()
            names = AppNames(environment, workspace, app, channel, self._policy.account_partitions)
            self._apps[environment, workspace, app, channel] = names
        return names


def _chunk_key(key: str, number: int) -> bytes:
    return f"{key}{_CHUNK}{number}".encode()
