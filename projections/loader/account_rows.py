"""Rows of `account.inbox` (units, watermarks, commands) and of `ledger` (entries and all that they carry)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from projections.loader import tables
from projections.loader.blocks import Blocks
from projections.loader.ordinary import ordinary_row
from projections.loader.parts import Place, parts_of
from projections.loader.records import Record
from schemas.changes import Change
from schemas.commands import Command, decode_inbox
from schemas.errors import InvalidRecord, excerpt
from schemas.ledger import LedgerRecord, decode_ledger, is_intact
from schemas.units import Unit, Watermark

Row = tuple[Any, ...]

_encode = msgspec.json.Encoder().encode


def add_inbox(blocks: Blocks, record: Record) -> None:
    """One record of `account.inbox`; `InvalidRecord` if the contract cannot read it."""
    fact = decode_inbox(record.value)
    if isinstance(fact, Unit):
        _add_unit(blocks, record, fact)
    elif isinstance(fact, Watermark):
        _add_watermark(blocks, record, fact)
    else:
        _add_command(blocks, record, fact)


def add_ledger(blocks: Blocks, record: Record) -> None:
    """One record of `ledger`: its entry, lines, charges, parts, changes and grants."""
    entry = decode_ledger(record.value)
    if blocks.marks.is_repeat(tables.LEDGER_ENTRIES.name, record.partition, entry.origin):
        blocks.count_repeat(record)
        return
    intact = is_intact(entry, record.value or b"")
    if not blocks.checks and (ordinary := ordinary_row(record, entry, intact)) is not None:
        blocks.charges.append(ordinary)
        return
    place = (record.partition, record.offset)
    rows = [(tables.LEDGER_ENTRIES, _entry(record, entry, intact))]
    rows += _lines(place, entry)
    rows += _charges(place, entry)
    rows += [(tables.LEDGER_PARTS, part) for part in parts_of(place, entry)]
    if entry.changes:
        rows += [(tables.LEDGER_CHANGES, (*place, *change)) for change in _changes(entry)]
    if entry.grants:
        rows += [(tables.GRANTS, (*place, *grant)) for grant in _grants(entry)]
    blocks.add_all(rows)


def _entry(record: Record, entry: LedgerRecord, intact: bool) -> Row:
    origin, balances = entry.origin, entry.balances
    return (
        record.partition, record.offset, record.append_ms, entry.workspace, entry.sequence, entry.kind, entry.time_us,
        origin.topic, origin.partition, origin.offset, origin.index, entry.cause, balances.free_micros,
        balances.paid_shared_micros, balances.paid_apps_micros, balances.due_micros, entry.previous_hash, entry.hash,
        intact, entry.actor or "", entry.note,
    )  # fmt: skip


def _lines(place: Place, entry: LedgerRecord) -> list[tuple[tables.Table, Row]]:
    app = channel = unit_id = unit_kind = ""
    if len(entry.charges) == 1:
        charge = entry.charges[0]
        app, channel, unit_id, unit_kind = charge.app, charge.channel, charge.unit_id, charge.unit_kind
    partition, offset = place
    workspace, sequence, kind, time_us = entry.workspace, entry.sequence, entry.kind, entry.time_us
    return [
        (
            tables.LEDGER_LINES,
            (
                partition, offset, index, workspace, sequence, kind, time_us, line.account, line.amount_micros,
                line.balance_micros, app, channel, unit_id, unit_kind,
            ),
        )
        for index, line in enumerate(entry.lines)
    ]  # fmt: skip


def _charges(place: Place, entry: LedgerRecord) -> list[tuple[tables.Table, Row]]:
    partition, offset = place
    return [
        (
            tables.LEDGER_CHARGES,
            (
                partition, offset, index, entry.workspace, entry.sequence, entry.kind, -1 if charge.reversed else 1,
                charge.unit_id, charge.unit_kind, charge.app, charge.channel, charge.start_us, charge.price_micros,
                charge.plan, charge.covered, charge.pool,
            ),
        )
        for index, charge in enumerate(entry.charges)
    ]  # fmt: skip


def _grants(entry: LedgerRecord) -> Iterator[Row]:
    for index, grant in enumerate(entry.grants):
        yield (
            index, entry.workspace, entry.sequence, grant.grant_id, grant.credit, grant.amount_micros,
            grant.granted_us, grant.expires_us, grant.app or "", grant.moved,
        )  # fmt: skip


_USERS = ("user", "owner", "by")
_SUBJECTS = ("plan", "product", "payment_id", "role", "reason")
_BEGINNINGS = ("from_us", "due_us", "at_us")


def _changes(entry: LedgerRecord) -> Iterator[Row]:
    for index, change in enumerate(entry.changes):
        yield (
            index, entry.workspace, entry.sequence, entry.time_us, change.__struct_config__.tag,
            getattr(change, "app", None) or "", _first(change, _USERS) or "", _first(change, _SUBJECTS) or "",
            _first(change, _BEGINNINGS), getattr(change, "until_us", None), _encode(change).decode(),
        )  # fmt: skip


def _first(change: Change, names: Sequence[str]) -> Any:
    """What the change has of these fields, the first that it has."""
    return next((value for name in names if (value := getattr(change, name, None)) is not None), None)


def _add_unit(blocks: Blocks, record: Record, unit: Unit) -> None:
    origin = unit.origin
    if blocks.marks.is_repeat(tables.UNIT_EVENTS.name, record.partition, origin):
        blocks.count_repeat(record)
        return
    blocks.add(
        tables.UNIT_EVENTS,
        (
            record.partition, record.offset, record.append_ms, origin.topic, origin.partition, origin.offset,
            origin.index, unit.unit_id, unit.kind, unit.change, unit.revision, unit.workspace, unit.app, unit.channel,
            unit.user, unit.environment, unit.start_us, unit.billable, unit.delta, unit.billable_delta,
            unit.conversation_id or "", unit.last_us, unit.inbound, unit.outbound,
        ),
    )  # fmt: skip


def _add_watermark(blocks: Blocks, record: Record, watermark: Watermark) -> None:
    origin = watermark.origin
    for outcome, counted in watermark.outcomes.items():
        if not 0 <= counted < 1 << 63:
            raise InvalidRecord("invalid_field", f"outcomes.{outcome}", excerpt(counted), "law 7", "not a count")
    if blocks.marks.is_repeat(tables.WATERMARKS.name, record.partition, origin):
        blocks.count_repeat(record)
        return
    blocks.add(
        tables.WATERMARKS,
        (
            record.partition, record.offset, record.append_ms, origin.topic, origin.partition, origin.offset,
            origin.index, watermark.source_partitions, watermark.now_us, watermark.complete_us, watermark.outcomes,
        ),
    )  # fmt: skip


def _add_command(blocks: Blocks, record: Record, command: Command) -> None:
    body = command.body
    blocks.add(
        tables.COMMANDS,
        (
            record.partition, record.offset, record.append_ms, command.command_id, command.workspace, command.time_us,
            command.actor.role, command.actor.name, type(body).__struct_config__.tag,
            getattr(body, "amount_micros", None), _encode(body).decode(),
        ),
    )  # fmt: skip
