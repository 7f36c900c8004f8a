"""One key's units, counted in one go from its events (U1, U2, U8, U9, U12): a batch, without state or order of arrival.

It shares nothing with METER; the reconciliation, in SQL, is a third one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class KeyEvent(NamedTuple):
    """An event of one key: where it lies, who it is (U7), when it was (microseconds UTC), what it is.

    `closed_us`: up to when time was closed when it came; 0 where that does not matter, because nothing else has its
    identity, and for a late one.
    """

    partition: int
    offset: int
    source: str
    id: str
    type: str
    time_us: int
    inbound: bool
    actor: str
    closed_us: int = 0


class Counted(NamedTuple):
    """A unit."""

    kind: str
    start_us: int
    billable: bool


def count_units(events: Iterable[KeyEvent], gap_us: int, session_us: int) -> list[Counted]:
    """The units of live traffic, by start."""
    distinct = [event for event in _distinct(events) if event.actor != "human_agent"]
    units = [
        Counted(event.type.split(".")[1], event.time_us, True)
        for event in distinct
        if event.type in ("quarterhour.notification.v1", "quarterhour.alert.v1")
    ]
    for talk in conversations(distinct, gap_us):
        units.append(Counted("conversation", talk[0].time_us, any(map(_is_said, talk))))
        session: list[KeyEvent] = []
        for event in talk:
            if session and event.time_us - session[0].time_us >= session_us:
                units.append(Counted("session", session[0].time_us, any(map(_is_said, session))))
                session = []
            session.append(event)
        units.append(Counted("session", session[0].time_us, any(map(_is_said, session))))
    return sorted(units, key=lambda unit: (unit.start_us, unit.kind))


def conversations(events: Iterable[KeyEvent], gap_us: int) -> list[list[KeyEvent]]:
    """The events that are activity (U9, U12), cut where more than the gap lies between two (U1)."""
    found: list[list[KeyEvent]] = []
    activity = (event for event in _distinct(events) if event.type != "quarterhour.alert.v1")
    for event in sorted((event for event in activity if event.actor != "human_agent"), key=lambda one: one.time_us):
        if found and event.time_us - found[-1][-1].time_us <= gap_us:
            found[-1].append(event)
        else:
            found.append([event])
    return found


def _distinct(events: Iterable[KeyEvent]) -> list[KeyEvent]:
    """U7: the first of each identity, and those that came when the time of all before them was closed."""
    counted: dict[tuple[str, str], list[KeyEvent]] = {}
    for event in sorted(events, key=lambda one: one.offset):
        before = counted.setdefault((event.source, event.id), [])
        if not any(one.time_us >= event.closed_us for one in before):
            before.append(event)
    return [event for same in counted.values() for event in same]


def _is_said(event: KeyEvent) -> bool:
    """Whether the end user says something."""
    return event.inbound and event.type == "quarterhour.message.v1"
