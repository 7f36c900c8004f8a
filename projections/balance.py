"""Balances as of any past instant (L4).

Two readings, because a posting has two instants: when it takes effect (a unit's start, a grant's expiry) and when it
was appended to the ledger. `Basis.EFFECT` adds up what had taken effect, late corrections included; `Basis.RECORD` is
what the newest ledger record by then said. For an instant after everything both are the balance now.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from clickhouse_connect.driver.client import Client

from projections.sql import read_sql
from schemas.instants import micros_of


class Basis(StrEnum):
    """By which instant postings count: that of their effect, or that of their ledger record's append."""

    EFFECT = "effect"
    RECORD = "record"


@dataclass(frozen=True, slots=True)
class BalanceAsOf:
    """Credit and debt in micro-dollars; `sequence` is the newest ledger record that counts, 0 for none."""

    workspace: str
    instant: datetime
    basis: Basis
    sequence: int
    free_micros: int
    paid_shared_micros: int
    paid_apps_micros: int
    due_micros: int


def balance_as_of(client: Client, workspace: str, instant: datetime, basis: Basis = Basis.EFFECT) -> BalanceAsOf:
    """All zeros before the first posting. ValueError for an instant without a time zone."""
    parameters = {"workspace": workspace, "instant_us": micros_of(instant)}
    rows = client.query(read_sql(f"reading/balance_by_{basis.value}.sql"), parameters=parameters).result_rows
    return BalanceAsOf(workspace, instant, basis, *(rows[0] if rows else (0, 0, 0, 0, 0)))
