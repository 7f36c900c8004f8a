"""Late events (U6): which there are, who admitted them, and what admitting some would do to the units that are billed.

METER has forgotten their time, so their key is counted anew, with and without them (`late_units` says what differs),
and the ledger asked what the units that go or move have cost. Refused is what METER could still change, so that it
would be billed twice, and what cannot be given back to who paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from clickhouse_connect.driver.client import Client
from msgspec.structs import replace

from projections.late_units import Span, Standing, agree, changed, within
from projections.reconcile import Spans
from projections.recount import KeyEvent, conversations, count_units
from projections.sql import read_sql
from schemas.changes import MOST_AT_ONCE, LateCharge, LateEvent, LatePart, LateUnit
from schemas.commands import AdmitLate
from schemas.errors import QuarterhourError
from schemas.instants import datetime_of


class NotAdmissible(QuarterhourError):
    """Late events that cannot be billed after all, and why."""


@dataclass(frozen=True, slots=True)
class Late:
    """A late event; `name` says which record it is, `admitted` who billed it after all, empty for nobody."""

    name: str
    time: datetime
    append: datetime
    workspace: str
    app: str
    channel: str
    user: str
    source: str
    id: str
    admitted: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """U3."""
        return self.workspace, self.app, self.channel, self.user


def late_events(client: Client, workspace: str = "", name: str = "", limit: int = 50) -> list[Late]:
    """The newest late events, the newest last: of a workspace, of that id or name, or all."""
    asked = {"workspace": workspace, "name": name, "limit": limit}
    rows = client.query(read_sql("late/list.sql"), parameters=asked).result_rows
    return [Late(*row) for row in reversed(rows)]


def found(client: Client, names: Sequence[str], workspace: str = "") -> list[Late]:
    """The late events meant by names or ids, each once; NotAdmissible says which is none, or not the only one."""
    events: dict[str, Late] = {}
    for name in names:
        candidates = late_events(client, workspace, name)
        if not candidates:
            raise NotAdmissible(
                f"{name}: no late event of that name or id; `quarterhour late list` shows those there are"
            )
        if len(candidates) > 1:
            listed = ", ".join(one.name for one in candidates)
            raise NotAdmissible(f"{name}: {len(candidates)} late events have that id; name one of {listed}")
        events[candidates[0].name] = candidates[0]
    return list(events.values())


def closed_until(client: Client) -> int:
    """Up to when METER has closed everything (U11), in microseconds; 0 if that is not known yet."""
    return max(0, int(client.query(read_sql("late/closed.sql")).first_row[0]))


def admission(
    client: Client, events: Sequence[Late], reason: str, spans: Spans, closed_us: int | None = None
) -> AdmitLate:
    """The command that bills these events of one key after all; NotAdmissible says why there is none.

    `closed_us`: what `closed_until` said before everything published until then was loaded.
    """
    for event in events:
        if event.admitted:
            raise NotAdmissible(f"{event.name} was admitted before, by {event.admitted} (U6)")
    keys = {event.key for event in events}
    if len(keys) != 1:
        raise NotAdmissible("the events are of different users, apps or channels; admit them one by one (U3)")
    workspace, app, channel, user = keys.pop()
    key = {"workspace": workspace, "app": app, "channel": channel, "user": user}
    known, wanted = _events(client, key, {event.name for event in events}, spans)
    _check_new(known, wanted)
    touched = _touched([*known, *wanted], wanted, spans)
    until_us = max(last for _, last in touched) + spans.gap_us
    _check_closed(until_us, closed_until(client) if closed_us is None else closed_us)
    rows = client.query(read_sql("late/units.sql"), parameters=key).result_rows
    stand = within((Standing(unit, kind, at, bool(billable)) for unit, kind, at, billable in rows), touched)
    before, after = (
        within(count_units(some, spans.gap_us, spans.session_us), touched) for some in (known, [*known, *wanted])
    )
    if not agree(stand, before):
        raise NotAdmissible(
            "the units around it are not those that its events make: not everything is in ClickHouse yet, or "
            "`quarterhour reconcile` lists a difference"
        )
    admitted = int(client.query(read_sql("late/admitted.sql"), parameters=key).first_row[0])
    units = changed(stand, after, touched, repr((*key.values(), admitted)))
    check_count("events", len(wanted))
    check_count("units", len(units))
    named = tuple(LateEvent(one.source, one.id, one.partition, one.offset) for one in wanted)
    return AdmitLate(app, channel, user, named, _charged(client, workspace, units), admitted, reason, until_us)


def check_count(what: str, count: int) -> None:
    """NotAdmissible for more events, or more units that change, than one command can tell."""
    if count > MOST_AT_ONCE:
        raise NotAdmissible(
            f"{count} {what} are more than one admission can tell, {MOST_AT_ONCE}: admit fewer events at once; one "
            "that alone changes more is a matter of credit (`quarterhour account grant-credit`)"
        )


def _events(
    client: Client, key: dict[str, str], names: set[str], spans: Spans
) -> tuple[list[KeyEvent], list[KeyEvent]]:
    """The events of live traffic that count already, and those that are to."""
    known: list[KeyEvent] = []
    wanted: list[KeyEvent] = []
    times: dict[tuple[str, str], int] = {}
    for *fields, environment, what in client.query(read_sql("late/key_events.sql"), parameters=key).result_rows:
        event = KeyEvent(*fields)
        is_wanted = f"interactions-{event.partition}-{event.offset}" in names
        if is_wanted and environment != "live":
            raise NotAdmissible(f"{event.id}: {environment} traffic is counted apart and never billed (U12)")
        if environment != "live" or not (is_wanted or what in ("", "admitted")):
            continue
        # An admitted one holds its identity too: METER, which never counted it, took what came after as its own.
        if not is_wanted and times.setdefault((event.source, event.id), event.time_us) != event.time_us and not what:
            event = event._replace(closed_us=_closed_before(client, event, spans))
        (wanted if is_wanted else known).append(event)
    if len(wanted) != len(names):
        raise NotAdmissible("not every event is among the raw events of ClickHouse yet; try again in a moment")
    return known, wanted


def _closed_before(client: Client, event: KeyEvent, spans: Spans) -> int:
    """Up to when time was closed when the event came."""
    asked = {
        "partition": event.partition, "offset": event.offset, "lateness_us": spans.lateness_us,
        "future_us": spans.future_us,
    }  # fmt: skip
    return int(client.query(read_sql("late/closed_before.sql"), parameters=asked).first_row[0])


def _check_new(known: list[KeyEvent], wanted: list[KeyEvent]) -> None:
    """Each event must count for something: it is no repeat (U7), and activity of the app (U12)."""
    seen = {(event.source, event.id) for event in known}
    for event in wanted:
        if (event.source, event.id) in seen:
            raise NotAdmissible(f"{event.id} repeats an event that counts already: it changes nothing (U7)")
        if event.actor == "human_agent":
            raise NotAdmissible(f"{event.id}: what a human agent does is no activity of the app, nor billed (U12)")
        seen.add((event.source, event.id))


def _touched(events: list[KeyEvent], wanted: list[KeyEvent], spans: Spans) -> list[Span]:
    """What the wanted events touch: the conversations that hold them, and alerts, which stand alone (U9)."""
    places = {(one.partition, one.offset) for one in wanted}
    alone = [(one.time_us, one.time_us) for one in wanted if one.type == "quarterhour.alert.v1"]
    talks = conversations(events, spans.gap_us)
    held = [
        (talk[0].time_us, talk[-1].time_us)
        for talk in talks
        if any((one.partition, one.offset) in places for one in talk)
    ]
    return held + [(at, end) for at, end in dict.fromkeys(alone) if not any(a <= at <= b for a, b in held)]


def _check_closed(until_us: int, closed_us: int) -> None:
    """Nothing that comes in time may still touch what is admitted (U11): METER would go on from what it knows."""
    if until_us >= closed_us:
        raise NotAdmissible(
            f"events in time may still change it: try again when everything up to {_at(until_us)} is closed (U11); "
            f"that is so up to {_at(closed_us)}"
        )


def _at(instant_us: int) -> str:
    return f"{datetime_of(instant_us):%Y-%m-%dT%H:%M:%SZ}"


def _charged(client: Client, workspace: str, units: list[LateUnit]) -> tuple[LateUnit, ...]:
    """The units, those that were billable with what the ledger has for them."""
    unit_ids = [unit.unit_id for unit in units if unit.was_billable]
    if not unit_ids:
        return tuple(units)
    asked = {"workspace": workspace, "unit_ids": unit_ids}
    rows = client.query(read_sql("late/charges.sql"), parameters=asked).result_rows
    charges: dict[str, LateCharge] = {}
    for unit_id, start_us, price_micros, plan, covered, pool, parts in rows:
        paid = tuple(_part(*part) for part in parts)
        charges[unit_id] = LateCharge(start_us, price_micros, plan, covered, pool, paid)
    for unit in units:
        charge = charges.get(unit.unit_id)
        if charge is not None and sum(part.paid_micros for part in charge.parts) != charge.price_micros:
            raise NotAdmissible(
                f"it would take back or move the {unit.kind} of {_at(unit.was_us)}, whose charge no credit covered at "
                "once: who paid for it since is not told unit by unit (C6). What should be given back is a matter of "
                "credit (`quarterhour account grant-credit`)"
            )
    return tuple(replace(unit, charge=charges.get(unit.unit_id)) for unit in units)


def _part(
    grant_id: str,
    credit: Literal["free", "paid"],
    given: int,
    granted_us: int,
    paid: int,
    expires_us: int | None,
    app: str,
) -> LatePart:
    return LatePart(grant_id, credit, given, granted_us, paid, expires_us, app or None)
