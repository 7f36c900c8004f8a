"""Explain (L7): from a ledger line to the events that made it, and from an event to its unit and charge, or to why it
was not billed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from projections.sql import read_sql
from schemas.instants import micros_of


@dataclass(frozen=True, slots=True)
class Event:
    """An interaction as it arrived: its place in Kafka, identity (U7), key (U3) and instants."""

    partition: int
    offset: int
    append: datetime
    source: str
    id: str
    type: str
    time: datetime
    workspace: str
    app: str
    channel: str
    user: str
    direction: str
    actor: str
    environment: str


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """A unit by its newest revision; `change` is `retracted` for one that never was (U5)."""

    unit_id: str
    kind: str
    workspace: str
    app: str
    channel: str
    user: str
    environment: str
    start: datetime
    billable: bool
    conversation_id: str
    change: str
    last: datetime | None
    revision: int


@dataclass(frozen=True, slots=True)
class PostedCharge:
    """A charge (`sign` 1) or reversal (-1) of a unit, with the ledger record that carries it."""

    sequence: int
    sign: int
    unit_id: str
    unit_kind: str
    start: datetime
    price_micros: int
    plan: str


@dataclass(frozen=True, slots=True)
class PostedLine:
    """One line of a ledger record."""

    index: int
    account: str
    amount_micros: int
    balance_micros: int


@dataclass(frozen=True, slots=True)
class UnitExplained:
    """A unit, the events it was counted from, and its charges; `why` says in a sentence why it costs what it costs."""

    unit: UnitFacts
    events: tuple[Event, ...]
    charges: tuple[PostedCharge, ...]
    why: str


@dataclass(frozen=True, slots=True)
class EntryExplained:
    """A ledger record: its lines, the units it charged with their events, what it is and what caused it."""

    lines: tuple[PostedLine, ...]
    charges: tuple[PostedCharge, ...]
    units: tuple[UnitExplained, ...]
    workspace: str
    sequence: int
    kind: str
    time: datetime
    append: datetime
    cause: str
    actor: str
    note: str
    origin: str
    hash: str
    intact: bool | None


@dataclass(frozen=True, slots=True)
class EventExplained:
    """One arrival of an event: its `outcome` (law 7), why in a sentence, and the units it counts in."""

    event: Event
    outcome: str
    why: str
    units: tuple[UnitExplained, ...]


def explain_entry(client: Client, workspace: str, sequence: int) -> EntryExplained | None:
    """From a ledger record, hence from any of its lines, to its events; None if there is no such record."""
    place = {"workspace": workspace, "sequence": sequence}
    rows = _rows(client, "entry", place)
    if not rows:
        return None
    charges = tuple(PostedCharge(*row) for row in _rows(client, "entry_charges", place))
    found = [explain_unit(client, unit_id, workspace) for unit_id in dict.fromkeys(c.unit_id for c in charges)]
    lines = tuple(PostedLine(*row) for row in _rows(client, "entry_lines", place))
    units = tuple(unit for unit in found if unit is not None)
    return EntryExplained(lines, charges, units, *rows[0])


def explain_unit(client: Client, unit_id: str, workspace: str) -> UnitExplained | None:
    """From a unit to its events and charges; None if there is no such unit in the workspace."""
    rows = _rows(client, "unit", {"unit_id": unit_id, "workspace": workspace})
    if not rows:
        return None
    unit = UnitFacts(*rows[0])
    events = tuple(Event(*row) for row in _rows(client, "unit_events", _key(unit)))
    charges = tuple(PostedCharge(*row) for row in _rows(client, "unit_charges", _key(unit)))
    return UnitExplained(unit, events, charges, _why_charged(unit, charges))


def explain_event(client: Client, event_id: str, workspace: str, source: str = "") -> list[EventExplained]:
    """Every arrival of the event of that id (of any source, if none is given) in a workspace, in order of arrival."""
    found = _rows(client, "event", {"id": event_id, "workspace": workspace, "source": source})
    return [_event(client, Event(*row[:14]), row[14], row[15]) for row in found]


def _event(client: Client, event: Event, outcome: str, detail: str) -> EventExplained:
    if outcome not in ("metered", "admitted"):
        return EventExplained(event, outcome, _NOT_METERED.get(outcome, "{detail}").format(detail=detail), ())
    place = {
        "workspace": event.workspace, "app": event.app, "channel": event.channel, "user": event.user,
        "environment": event.environment, "time": event.time, "type": event.type,
    }  # fmt: skip
    ids = [row[0] for row in _rows(client, "event_units", place)]
    units = tuple(unit for unit in (explain_unit(client, id, event.workspace) for id in ids) if unit is not None)
    charged = [unit for unit in units if sum(charge.sign for charge in unit.charges) > 0]
    came = (
        f"It came later than the allowed lateness (U6), and was admitted by {detail}. " if outcome == "admitted" else ""
    )
    counted = f"{came}It counts in {', '.join(f'{u.unit.kind} {u.unit.unit_id}' for u in units) or 'no unit yet'}."
    if charged:
        return EventExplained(event, "billed", f"{counted} {charged[0].why}", units)
    return EventExplained(event, "counted", " ".join([counted, *(unit.why for unit in units[:1])]), units)


def _why_charged(unit: UnitFacts, charges: tuple[PostedCharge, ...]) -> str:
    net = sum(charge.sign for charge in charges)
    if net > 0:
        newest = max((c for c in charges if c.sign > 0), key=lambda charge: charge.sequence)
        return f"Charged once, in ledger record {newest.sequence}, by plan {newest.plan} (P1)."
    taken_back = f" in ledger record {max(c.sequence for c in charges)} (C8)." if charges else ""
    if unit.change == "retracted":
        never = "Not charged: a late event joined it to another, so it never was (U5)."
        return f"{never} What it cost was given back{taken_back}" if charges else never
    if charges:
        return f"Its charge was taken back{taken_back}"
    if unit.environment != "live":
        return f"Not charged: {unit.environment} traffic is counted apart and never billed (U12)."
    if not unit.billable:
        return "Not charged: the end user said nothing in it (U12)."
    return f"Not charged: the plan in force at its start bills no {unit.kind}, or at a price of 0 (U10, P5)."


_NOT_METERED = {
    "late": "Not billed: it came later than the allowed lateness, and was set aside (U6). {detail}",
    "rejected": "Not billed: it was refused: {detail}",
    "repeated": "Changes nothing: an event of the same source and id came before, at {detail} (U7).",
    "human_agent": "Not billed: what a human agent does after a hand-over is no activity of the app (U12).",
    "rerouted": "It came in another partition than its key's; its copy there counts.",
}


def _key(unit: UnitFacts) -> dict[str, Any]:
    return {
        "unit_id": unit.unit_id, "kind": unit.kind, "workspace": unit.workspace, "app": unit.app,
        "channel": unit.channel, "user": unit.user, "environment": unit.environment, "start": unit.start,
    }  # fmt: skip


def _rows(client: Client, name: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    instants = {f"{key}_us": micros_of(value) for key, value in parameters.items() if isinstance(value, datetime)}
    texts = {key: value for key, value in parameters.items() if not isinstance(value, datetime)}
    found = client.query(read_sql(f"reading/explain_{name}.sql"), parameters={**texts, **instants})
    return [tuple(row) for row in found.result_rows]
