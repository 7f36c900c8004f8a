"""`quarterhour explain`: which thing a text names, and what is said of it in lines (rule L7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from projections.explain import (
    EntryExplained,
    EventExplained,
    UnitExplained,
    explain_entry,
    explain_event,
    explain_unit,
)
from schemas.errors import QuarterhourError
from scripts.report import usd

_MOST_DIGITS = 18
"""Of a ledger record's number; what has more is an event's id."""


class NothingKnown(QuarterhourError):
    """No ledger record, unit or event of the workspace has that name."""


def explain(client: Any, workspace: str, what: str) -> list[str]:
    """Lines about a ledger record (its sequence number), a unit (its id) or an event (its id), in that order.

    Raises NothingKnown. An event whose id is a number is told beside the ledger record of that number.
    """
    lines: list[str] = []
    is_sequence = what.isascii() and what.isdecimal() and len(what) <= _MOST_DIGITS
    entry = explain_entry(client, workspace, int(what)) if is_sequence else None
    if entry is not None:
        lines += _entry(entry)
    unit = explain_unit(client, what, workspace)
    if unit is not None:
        lines += _unit(unit)
    for event in explain_event(client, what, workspace):
        lines += _event(event)
    if not lines:
        raise NothingKnown(
            f"workspace {workspace!r} has no ledger record, unit or event {what!r}: give a record's number, "
            "a unit's id as in the ledger's cause, or an event's id"
        )
    return lines


def _entry(entry: EntryExplained) -> Iterator[str]:
    yield f"ledger record {entry.sequence} of {entry.workspace}: {entry.kind}, caused by {entry.cause}, at {entry.time}"
    if entry.note:
        yield f"  {entry.note}"
    for line in entry.lines:
        yield f"  {line.account}: USD {usd(line.amount_micros)}, balance after it USD {usd(line.balance_micros)}"
    for unit in entry.units:
        yield from (f"  {text}" for text in _unit(unit))


def _unit(explained: UnitExplained) -> Iterator[str]:
    unit = explained.unit
    who = f"{unit.user} with {unit.app} on {unit.channel}"
    yield f"{unit.kind} {unit.unit_id} of {who}, from {unit.start}: {explained.why}"
    for charge in explained.charges:
        what = "charged" if charge.sign > 0 else "taken back"
        yield f"  {what} at USD {usd(charge.price_micros)} by ledger record {charge.sequence}"
    for event in explained.events:
        yield f"  event {event.id} of {event.source}, {event.direction}, at {event.time}"


def _event(explained: EventExplained) -> Iterator[str]:
    event = explained.event
    yield f"event {event.id} of {event.source} at {event.time}: {explained.outcome}; {explained.why}"
    for unit in explained.units:
        yield from (f"  {text}" for text in _unit(unit))
