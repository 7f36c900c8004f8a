"""What a key remembers of its events: identities (U7) and times of activity (U5).

The newest events are part of the key's state record. Once there are `EVENTS_A_CHUNK` of them they are sealed: a chunk
is a changelog record of its own, written once, so a key with 100,000 events costs no more an event than one with ten.
A chunk ends when its newest event is forgotten. What is in which chunk is a function of the input prefix (law 2).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import msgspec

Events = dict[bytes, int]
"""Identity to `time_us << 2 | ACTIVITY | INBOUND`, in the order of arrival."""
INBOUND: Final = 1
ACTIVITY: Final = 2
EVENTS_A_CHUNK: Final = 64
SEARCHED_CHUNKS: Final = 8
"""Up to so many chunks are searched as bytes (4 µs at most); a key with more keeps an index of its identities."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Events).decode


def identity_of(source: str, identity: str) -> bytes:
    """16 bytes for an event's (source, id): collision-safe, and the same in every process (never `hash()`)."""
    digest = _begun[source].copy()
    digest.update(identity.encode())
    return digest.digest()


class _Begun(dict[str, blake2b]):
    """The digest of each source, for identities to go on from: sources are few."""

    def __missing__(self, source: str) -> blake2b:
        if len(self) >= _SOURCES_MAX:
            self.clear()
        digest = self[source] = blake2b(f"{source}\x00".encode(), digest_size=16)
        return digest


_SOURCES_MAX = 1024
_begun = _Begun()


class Sealed:
    """The chunks of one key, and what makes many of them quick to search."""

    __slots__ = ("_chunks", "_index", "_newest", "_times")

    def __init__(self) -> None:
        self._chunks: dict[int, bytes] = {}
        self._newest: dict[int, int] = {}
        self._index: Events | None = None  # once there are many chunks
        self._times: array[int] | None = None  # sorted times of activity with their flags, once they were asked for

    def __bool__(self) -> bool:
        return bool(self._chunks)

    @property
    def newest_us(self) -> int:
        """The newest time of any event, 0 if there is none."""
        return max(self._newest.values(), default=0)

    def seal(self, number: int, events: Events) -> bytes:
        """Take events as a chunk in; returns it packed."""
        chunk = _pack(events)
        self._add(number, chunk, events)
        return chunk

    def restore(self, number: int, chunk: bytes) -> None:
        """Take a packed chunk back; they come in the order of their numbers."""
        self._add(number, chunk, _unpack(chunk))

    def _add(self, number: int, chunk: bytes, events: Events) -> None:
        self._chunks[number] = chunk
        self._newest[number] = max(events.values()) >> 2
        if self._index is not None:
            self._index.update(events)
        elif len(self._chunks) > SEARCHED_CHUNKS:
            self._index = {}
            for held in self._chunks.values():
                self._index.update(_unpack(held))
        if self._times is not None:
            for time in events.values():
                if time & ACTIVITY:
                    insort(self._times, time)

    def forget(self, floor_us: int) -> list[int]:
        """Drop the oldest chunks as long as they hold nothing at or after `floor_us`; returns their numbers."""
        over: list[int] = []
        for number, newest in self._newest.items():
            if newest >= floor_us:
                break
            over.append(number)
        for number in over:
            del self._newest[number]
            events = _unpack(self._chunks.pop(number))
            if self._index is not None:
                for identity, time in events.items():
                    if self._index.get(identity) == time:
                        del self._index[identity]
        if over and self._times is not None:
            del self._times[: bisect_left(self._times, floor_us << 2)]
        return over

    def holds(self, identity: bytes, floor_us: int) -> bool:
        """Whether an event of this identity, at or after `floor_us`, is in a chunk."""
        if self._index is not None:
            return self._index.get(identity, -1) >> 2 >= floor_us
        return any(
            _unpack(chunk).get(identity, -1) >> 2 >= floor_us for chunk in self._chunks.values() if identity in chunk
        )

    def times(self) -> array[int]:
        """Times of activity with their flags, sorted."""
        if self._times is None:
            every = (time for chunk in self._chunks.values() for time in _unpack(chunk).values())
            self._times = array("q", sorted(time for time in every if time & ACTIVITY))
        return self._times


class Activity:
    """A key's times of activity in their order, from its sealed and its newest events."""

    def __init__(self, events: Events, sealed: Sealed | None) -> None:
        newest = sorted(time for time in events.values() if time & ACTIVITY)
        self._parts: tuple[list[int] | array[int], ...] = (newest,) if sealed is None else (newest, sealed.times())

    def next_at(self, time_us: int) -> int | None:
        """The first time of activity at or after `time_us`."""
        found: list[int] = []
        for part in self._parts:
            at = bisect_left(part, time_us << 2)
            if at < len(part):
                found.append(part[at] >> 2)
        return min(found, default=None)

    def between(self, start_us: int, end_us: int) -> tuple[int, int, int]:
        """Last time, inbound and outbound messages of the activity in `[start_us, end_us)`, which is not empty."""
        inside = list(self._inside(start_us, end_us))
        inbound = sum(time & INBOUND for time in inside)
        return max(inside) >> 2, inbound, len(inside) - inbound

    def _inside(self, start_us: int, end_us: int) -> Iterable[int]:
        for part in self._parts:
            yield from part[bisect_left(part, start_us << 2) : bisect_left(part, end_us << 2)]
