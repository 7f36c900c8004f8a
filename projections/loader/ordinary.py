"""The rows of ordinary charges, column by column: one unit, charged whole to one grant or to what is owed.

Nearly all records of a ledger are so, and each fills five rows of four tables that share most of their values.
Law it keeps: the rows are those that `account_rows` makes of such a record; a test compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from projections.loader import tables
from projections.loader.records import Record
from schemas.ledger import LedgerRecord

ColumnsOfRun = list[tuple[Any, ...]]

_NAMES: Final = (
    *tables.LEDGER_ENTRIES.columns, "usage_account", "usage_micros", "usage_balance", "account", "amount_micros",
    "balance_micros", "sign", "unit_id", "unit_kind", "app", "channel", "start", "price_micros", "plan", "covered",
    "pool",
)  # fmt: skip
"""What is kept of a record: its entry, the usage line, the line of the credit, the charge."""


def ordinary_row(record: Record, entry: LedgerRecord, intact: bool) -> tuple[Any, ...] | None:
    """All values of an ordinary charge, in the order of `_NAMES`; None if the record is none."""
    if len(entry.lines) != 2 or len(entry.charges) != 1 or entry.grants or entry.changes:
        return None
    usage, credit = entry.lines
    (charge,) = entry.charges
    account, origin, balances = credit.account, entry.origin, entry.balances
    is_whole = usage.amount_micros == -credit.amount_micros != 0
    if not (is_whole and usage.account.startswith("usage:") and account.startswith(("grant:", "due:"))):
        return None
    return (
        record.partition, record.offset, record.append_ms, entry.workspace, entry.sequence, entry.kind, entry.time_us,
        origin.topic, origin.partition, origin.offset, origin.index, entry.cause, balances.free_micros,
        balances.paid_shared_micros, balances.paid_apps_micros, balances.due_micros, entry.previous_hash, entry.hash,
        intact, entry.actor or "", entry.note, usage.account, usage.amount_micros, usage.balance_micros, account,
        credit.amount_micros, credit.balance_micros, -1 if charge.reversed else 1, charge.unit_id, charge.unit_kind,
        charge.app, charge.channel, charge.start_us, charge.price_micros, charge.plan, charge.covered, charge.pool,
    )  # fmt: skip


def charge_columns(rows: Sequence[tuple[Any, ...]]) -> dict[str, ColumnsOfRun]:
    """What these ordinary charges add to each table, as columns in the table's order; `rows` holds one at least."""
    named: dict[str, tuple[Any, ...]] = dict(zip(_NAMES, zip(*rows, strict=True), strict=True))
    zeros, ones = (0,) * len(rows), (1,) * len(rows)
    named |= {"charge_index": zeros, "part_index": zeros, "units": named["sign"]}
    named["what"] = tuple("returned" if sign < 0 else "charged" for sign in named["sign"])
    credit = named | {"line_index": ones}
    usage = named | {
        "line_index": zeros, "account": named["usage_account"], "amount_micros": named["usage_micros"],
        "balance_micros": named["usage_balance"],
    }  # fmt: skip
    return {
        tables.LEDGER_ENTRIES.name: [named[column] for column in tables.LEDGER_ENTRIES.columns],
        tables.LEDGER_LINES.name: [usage[column] + credit[column] for column in tables.LEDGER_LINES.columns],
        tables.LEDGER_CHARGES.name: [named[column] for column in tables.LEDGER_CHARGES.columns],
        tables.LEDGER_PARTS.name: [named[column] for column in tables.LEDGER_PARTS.columns],
    }
