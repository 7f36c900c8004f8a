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
from streams.metering.windows import Conversation, KeyWindows, Session

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
    record: bytes = b""
    """The state as the changelog has it, unless `changed`."""
    packed: msgspec.Raw | None = None
    """The newest events, until they are unpacked, and the newest time among them."""
    packed_newest_us: int = 0
    changed: bool = False
    newest: tuple[Conversation, Session] | None = None
    """The newest conversation and its newest session, if that is open: what most events extend."""
    unpacked: Events | None = None

    @classmethod
    def of(cls, record: bytes, names: AppNames, user: str, sealed: Sealed | None) -> OpenKey:
        """A key from its state record."""
        packed = _unpack(memoryview(record)[_DEADLINE_BYTES:])
        newest_us = packed.windows.last + packed.newer_us
        known = cls(names, user, packed.windows, sealed, deadline_of(record), record, packed.events, newest_us)
        known.look_again()
        return known

    def events(self) -> Events:
        """The newest events; `history` says what becomes of older ones."""
        if self.unpacked is None:
            assert self.packed is not None
            self.unpacked = _unpack_events(self.packed)
            self.packed = None
        return self.unpacked

    def renew_record(self, policy: MeterPolicy) -> bytes:
        """The state as the changelog is to have it."""
        deadline = self.due(policy)
        assert deadline is not None, "an empty key is gone"
        events = self.packed if self.packed is not None else self.unpacked
        body = _pack((self.windows, self._newest_us() - self.windows.last, events))
        self.record = deadline.to_bytes(_DEADLINE_BYTES, "big") + body
        self.changed = False
        return self.record

    def look_again(self) -> None:
        """The newest units may be other ones now."""
        self.newest = None
        if self.windows.conversations:
            conversation = self.windows.conversations[-1]
            if conversation.sessions:
                self.newest = conversation, conversation.sessions[-1]

    def activity(self) -> Activity:
        """All times of activity."""
        return Activity(self.events(), self.sealed)

    def holds(self, identity: bytes) -> bool:
        """Whether an event of this identity counts already (U7)."""
        floor = self.windows.floor
        if self.events().get(identity, -1) >> 2 >= floor:
            return True
        return self.sealed is not None and self.sealed.holds(identity, floor)

    def forget(self) -> None:
        """Forget the newest events that lie before the floor."""
        floor = self.windows.floor
        if self._newest_us() < floor:
            self.packed, self.unpacked = None, {}
        else:
            self.unpacked = {identity: time for identity, time in self.events().items() if time >> 2 >= floor}

    def _newest_us(self) -> int:
        if self.packed is not None:
            return self.packed_newest_us
        return max(self.events().values(), default=0) >> 2

    def due(self, policy: MeterPolicy) -> int | None:
        """The lowest `complete` at which something closes or the last event is forgotten; None when nothing is left."""
        deadline = self.windows.deadline(policy)
        if deadline is not None:
            return deadline
        newest_us = max(self._newest_us(), self.sealed.newest_us if self.sealed is not None else 0)
        return newest_us + 1 if newest_us and newest_us >= self.windows.floor else None


def deadline_of(packed: bytes) -> int:
    """When the first unit of a packed key may close."""
    return int.from_bytes(packed[:_DEADLINE_BYTES], "big")


class OpenKeys:
    """Keys are `environment/workspace/app/channel/user`."""

    def __init__(self, policy: MeterPolicy) -> None:
        self.held: dict[str, OpenKey | bytes] = {}
        """Every open key; the hot path reads it, and calls `unpack` for bytes."""
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
        self.held[key] = known
        return known

    def unpack(self, key: str, record: bytes) -> OpenKey:
        """Unpack a key that is about to be used."""
        environment, workspace, app, channel, user = key.split("/", 4)
        known = OpenKey.of(record, self._names(environment, workspace, app, channel), user, self._sealed.get(key))
        self.held[key] = self._warm[key] = known
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
            changes.append((key.encode(), known.renew_record(self._policy)))
        self.changed.clear()
        if len(self._warm) >= WARM_KEYS:
            self._cool()
        return changes

    def _cool(self) -> None:
        """Pack again what has not been touched since the last time."""
        warm, held = self._warm, self.held
        for key, known in self._cooling.items():
            if key not in warm and held.get(key) is known:
                held[key] = known.record
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
        for key in [key for key, packed in self.held.items() if deadline_of(_bytes(packed)) <= closed_us]:
            self.end(key)
        owners = {key.rsplit(_CHUNK.encode(), 1)[0].decode() for key in found}
        for key in sorted(owners):
            packed = self.held.get(key)
            if packed is not None:
                self._restore_chunks(key, _unpack(_bytes(packed)[_DEADLINE_BYTES:]).windows, found)
        self._chunks.update(dict.fromkeys(found))
        return [(key, deadline_of(_bytes(packed))) for key, packed in self.held.items()]

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


def _bytes(packed: OpenKey | bytes) -> bytes:
    assert isinstance(packed, bytes), "between batches every key is packed"
    return packed
