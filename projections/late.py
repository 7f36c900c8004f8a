"""Late events (U6): which there are, who admitted them, and what admitting some would add to the units that are billed.

METER has forgotten their time, so their key is counted anew, with and without them. Only what is added can be admitted:
a late event that joins, moves or shortens units that are billed is refused, with the units it would change.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from projections.reconcile import Spans
from projections.recount import Counted, KeyEvent, conversations, count_units
from projections.sql import read_sql
from schemas.changes import LateEvent, LateUnit
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


def admission(client: Client, events: Sequence[Late], reason: str, spans: Spans) -> AdmitLate:
    """The command that bills these events of one key after all; NotAdmissible says why there is none."""
    for event in events:
        if event.admitted:
            raise NotAdmissible(f"{event.name} was admitted before, by {event.admitted} (U6)")
    keys = {event.key for event in events}
    if len(keys) != 1:
        raise NotAdmissible("the events are of different users, apps or channels; admit them one by one (U3)")
    workspace, app, channel, user = keys.pop()
    key = {"workspace": workspace, "app": app, "channel": channel, "user": user}
    known, wanted = _events(client, key, {event.name for event in events}, spans)
    with_them = [*known, *wanted]
    _check_closed(client, with_them, wanted, spans)
    added = _added(
        count_units(known, spans.gap_us, spans.session_us), count_units(with_them, spans.gap_us, spans.session_us)
    )
    after = int(client.query(read_sql("late/admitted.sql"), parameters=key).first_row[0])
    units = tuple(_unit(client, key, unit, delta) for unit, delta in added)
    named = tuple(LateEvent(one.source, one.id, one.partition, one.offset) for one in wanted)
    return AdmitLate(app, channel, user, named, units, after, reason)


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
        if not what and times.setdefault((event.source, event.id), event.time_us) != event.time_us:
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


def _check_closed(client: Client, events: list[KeyEvent], wanted: list[KeyEvent], spans: Spans) -> None:
    """Nothing that comes in time may still touch what is admitted (U11)."""
    places = {(one.partition, one.offset) for one in wanted}
    ends = [event.time_us for event in wanted]
    for talk in conversations(events, spans.gap_us):
        if any((one.partition, one.offset) in places for one in talk):
            ends.append(talk[-1].time_us)
    until_us = max(ends) + spans.gap_us
    closed_us = int(client.query(read_sql("late/closed.sql")).first_row[0])
    if until_us >= closed_us:
        raise NotAdmissible(
            f"events in time may still change it: try again when everything up to {_at(until_us)} is closed (U11); "
            f"that is so up to {_at(max(0, closed_us))}"
        )


def _added(before: list[Counted], after: list[Counted]) -> list[tuple[Counted, int]]:
    """What is there afterwards and was not before: units (1), and units that are billable now (0)."""
    more, gone = Counter(after) - Counter(before), Counter(before) - Counter(after)
    added: list[tuple[Counted, int]] = []
    for unit in more.elements():
        silent = unit._replace(billable=False)
        delta = 0 if unit.billable and gone[silent] > 0 else 1
        gone[silent] -= 1 - delta
        added.append((unit, delta))
    changed = ", ".join(f"the {unit.kind} of {_at(unit.start_us)}" for unit in sorted((+gone).elements()))
    if changed:
        raise NotAdmissible(
            f"it would change units that are counted already: {changed}. Such a late event cannot be billed after all; "
            "what should be given back or charged is a matter of credit (`quarterhour account grant-credit`)"
        )
    if not added:
        raise NotAdmissible("it adds no unit: it lies in units that are counted, or repeats an event (U1, U2, U7)")
    return added


def _at(instant_us: int) -> str:
    return f"{datetime_of(instant_us):%Y-%m-%dT%H:%M:%SZ}"


def _unit(client: Client, key: dict[str, Any], unit: Counted, delta: int) -> LateUnit:
    unit_id = "late-" + hashlib.sha256(repr((*key.values(), unit.kind, unit.start_us)).encode()).hexdigest()[:32]
    if delta == 0:
        asked = {**key, "kind": unit.kind, "start_us": unit.start_us}
        rows = client.query(read_sql("late/known_unit.sql"), parameters=asked).result_rows
        if not rows:
            raise NotAdmissible(
                f"the {unit.kind} of {_at(unit.start_us)} is not in ClickHouse yet; try again in a moment"
            )
        unit_id = rows[0][0]
    return LateUnit(unit_id, unit.kind, unit.start_us, delta, int(unit.billable))  # type: ignore[arg-type]  # a unit's kind
