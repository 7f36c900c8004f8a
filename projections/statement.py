"""The statement of a period: what a billing team hands out (T3, C3-C8), and what it rests on (L2).

By effect: a posting belongs to the period its instant lies in, so a correction that comes later changes the statement
of the period it corrects. `ledger_records` and `ledger_hash` say what was known when it was made: the same range asked
for at another newest record may say something else. Money is integer micro-dollars (C7).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from clickhouse_connect.driver.client import Client

from projections.ranges import Days
from projections.sql import read_sql
from schemas.instants import micros_of

CREDITS = ("free", "paid_shared", "paid_apps", "due")
"""The rows of a statement's balances, in order."""
_COLUMNS = {
    "issued": "added_micros", "moved": "moved_micros", "charged": "charged_micros", "returned": "returned_micros",
    "settled": "settled_micros", "lapsed": "lapsed_micros",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StatementBalance:
    """One kind of credit over the period: `closing` is `opening` plus all columns between, each with its sign.

    `credit` is `free`, `paid_shared`, `paid_apps`, or `due`: what is owed, as a positive number. `other_micros` is what
    postings of a kind this statement does not know did; 0 today.
    """

    credit: str
    opening_micros: int
    added_micros: int
    moved_micros: int
    charged_micros: int
    returned_micros: int
    settled_micros: int
    lapsed_micros: int
    other_micros: int
    closing_micros: int


@dataclass(frozen=True, slots=True)
class StatementCharges:
    """Charges of one app, kind of unit, plan and price; `micros` is net of what was taken back (C8)."""

    app: str
    kind: str
    plan: str
    price_micros: int
    charged_units: int
    reversed_units: int
    micros: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A period's statement. `first_record` to `last_record` are the lowest and highest ledger records that took effect
    in the period (0 if none did), `records` how many, `last_hash` the hash of the highest (L2)."""

    workspace: str
    first: date
    last: date
    zone: str
    balances: tuple[StatementBalance, ...]
    charges: tuple[StatementCharges, ...]
    charged_micros: int
    first_record: int
    last_record: int
    records: int
    last_hash: str
    ledger_records: int
    ledger_hash: str


def statement(client: Client, workspace: str, days: Days) -> Statement | None:
    """The statement of these days; None if the ledger knows no such workspace."""
    begin, end = (micros_of(instant) for instant in days.bounds())
    parameters = {"workspace": workspace, "begin_us": begin, "end_us": end}
    rows = client.query(read_sql("reading/statement.sql"), parameters=parameters).result_rows
    parts: dict[str, list[Sequence[Any]]] = defaultdict(list)
    for row in rows:
        parts[row[0]].append(row)
    if not parts["newest"]:
        return None
    charges = charges_of(client, workspace, days)
    (period,), (newest,) = parts["period"], parts["newest"]
    return Statement(
        workspace, days.first, days.last, days.zone.key, _balances(parts["flow"], parts["grant"]), charges,
        sum(line.micros for line in charges), period[4][0], period[4][1], period[4][2],
        period[1] if period[4][2] else "", newest[4][0], newest[1],
    )  # fmt: skip


def charges_of(client: Client, workspace: str, days: Days) -> tuple[StatementCharges, ...]:
    """What was charged in these days, as the view `charges_of_period` has it."""
    begin, end = (micros_of(instant) for instant in days.bounds())
    parameters = {"workspace": workspace, "begin_us": begin, "end_us": end}
    rows = client.query(read_sql("reading/charges.sql"), parameters=parameters).result_rows
    return tuple(StatementCharges(*row) for row in rows)


def _balances(flows: Sequence[Sequence[Any]], grants: Sequence[Sequence[Any]]) -> tuple[StatementBalance, ...]:
    credit_of = {f"grant:{grant_id}": _credit(app, credit) for _, grant_id, app, credit, _ in grants}
    opening: dict[str, int] = dict.fromkeys(CREDITS, 0)
    columns = {credit: dict.fromkeys([*_COLUMNS.values(), "other_micros"], 0) for credit in CREDITS}
    for _, account, what, _, (before, within) in flows:
        is_due = account.startswith("due:")
        credit = "due" if is_due else credit_of.get(account, "paid_shared")
        sign = -1 if is_due else 1
        opening[credit] += sign * before
        columns[credit][_COLUMNS.get(what, "other_micros")] += sign * within
    return tuple(
        StatementBalance(
            credit=credit, opening_micros=opening[credit],
            closing_micros=opening[credit] + sum(columns[credit].values()), **columns[credit],
        )
        for credit in CREDITS
    )  # fmt: skip


def _credit(app: str, credit: str) -> str:
    if credit == "free":
        return "free"
    return "paid_apps" if app else "paid_shared"
