"""Unit events: what METER tells ACCOUNTS and the read side about conversations, sessions and notifications.

Each event carries the unit's whole state after a change (so the newest revision alone is enough) and two deltas (so
sums need no newest revision). A unit's start never leaves its UTC day: then it is retracted and another is opened.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(min_length=1, max_length=256)]
Email = Annotated[str, Meta(max_length=254)]
UnitId = Annotated[str, Meta(min_length=1, max_length=64)]
Micros = Annotated[int, Meta(ge=0)]

UnitKind = Literal["conversation", "session", "notification", "alert"]
ALWAYS_BILLED: Final[tuple[UnitKind, ...]] = ("notification", "alert")
"""Charged under every plan, at its price (P5); of the others a plan charges its billing unit (U10)."""
UnitChange = Literal["opened", "revised", "retracted", "closed"]


class Origin(Struct, frozen=True, gc=False):
    """Where an output comes from (law 2): the input record, and the output's index among that input's outputs."""

    topic: Text
    partition: Annotated[int, Meta(ge=0)]
    offset: Annotated[int, Meta(ge=0)]
    index: Annotated[int, Meta(ge=0)]


class Unit(Struct, frozen=True, gc=False, tag_field="type", tag="unit.v1", omit_defaults=True):
    """One change of one unit (rules U1, U2, U8-U12).

    `delta` adds to the number of units of (workspace, app, channel, user, environment, kind, UTC day of `start_us`),
    `billable_delta` to the number of billable ones; net sums equal a batch recount (rule U5). `billable` is the state
    after the change: live traffic with at least one message of the end user (U12), or a notification.
    A `closed` event is final (U11): `last_us` the last activity, `inbound` / `outbound` the messages it holds.
    Instants are microseconds UTC.
    """

    origin: Origin
    unit_id: UnitId
    kind: UnitKind
    change: UnitChange
    revision: Annotated[int, Meta(ge=1)]
    workspace: Name
    app: Name
    channel: Name
    user: Text
    environment: Literal["live", "developer", "test"]
    start_us: Micros
    billable: bool
    delta: Annotated[int, Meta(ge=-1, le=1)]
    billable_delta: Annotated[int, Meta(ge=-1, le=1)]
    conversation_id: UnitId | None = None
    last_us: Micros | None = None
    inbound: Annotated[int, Meta(ge=0)] | None = None
    outbound: Annotated[int, Meta(ge=0)] | None = None


class Watermark(Struct, frozen=True, gc=False, tag_field="type", tag="watermark.v1"):
    """How far METER has come on one partition of `interactions`; ACCOUNTS' clock is the minimum over all of them.

    `now_us` is the highest event time seen: alerts and entitlements follow it. No unit that starts before `complete_us`
    (`now_us` less the allowed lateness) can change any more: credits lapse when this passes their expiry, so that what
    a grant paid for does not depend on the order of arrival. `outcomes` counts what became of every record of the
    partition up to `origin`, itself included (law 7), by outcome.
    """

    origin: Origin
    source_partitions: Annotated[int, Meta(ge=1)]
    now_us: Micros
    complete_us: int
    outcomes: dict[str, int]
