"""The reconciliation (L6): a second implementation, in SQL alone, over the raw events; every difference is listed.

It shares no code with METER or ACCOUNTS: lateness, identities, units, prices and balances are computed again from table
`interactions` and the catalog, and compared with what the topics said. Compare after everything has been loaded.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from clickhouse_connect.driver.client import Client
from rich.console import Group
from rich.table import Table
from rich.text import Text

from projections.sql import read_sql
from projections.standing import row_counts
from schemas.catalog import Catalog, load_catalog
from schemas.instants import MICROS_PER_HOUR, MICROS_PER_MINUTE

MOST_LISTED = 1_000
"""Differences listed of one kind of comparison; all are counted."""

_STEPS = ("judged", "recounted", "prices")
_CHECKS = (
    "units", "daily", "charges", "postings", "sequence", "hashes", "intact", "balances", "accounts", "parts",
    "aside", "outcomes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure that is not what the recount says. `key` says whose, `day` is a UTC day or empty."""

    check: str
    workspace: str
    key: str
    day: str
    expected: int
    found: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was compared, and what differed: `counts` of all differences by check, `differences` the first of each."""

    recounted_units: int
    counts: dict[str, int]
    differences: tuple[Difference, ...]

    @property
    def is_clean(self) -> bool:
        """Whether everything agrees."""
        return not self.counts


@dataclass(frozen=True, slots=True)
class Spans:
    """The rules' spans in microseconds: U1, U2, U6."""

    gap_us: int = 15 * MICROS_PER_MINUTE
    session_us: int = 15 * MICROS_PER_MINUTE
    lateness_us: int = 24 * MICROS_PER_HOUR
    future_us: int = 5 * MICROS_PER_MINUTE


def reconcile(client: Client, spans: Spans | None = None, catalog: Catalog | None = None) -> Reconciliation:
    """Recount and compare. Changes nothing, so it may run at any time."""
    with recount(client, spans, catalog) as session:
        units = int(client.query("SELECT count() FROM recounted", settings=session).first_row[0])
        found = [_differences(client, check, session) for check in _CHECKS]
    found.append(_loaded_twice(client))
    counts: Counter[str] = Counter()
    listed: list[Difference] = []
    for differences, totals in found:
        counts.update(totals)
        listed += differences
    return Reconciliation(units, dict(counts), tuple(listed))


@contextmanager
def recount(client: Client, spans: Spans | None = None, catalog: Catalog | None = None) -> Iterator[dict[str, Any]]:
    """The settings of a session that has the temporary tables `judged` (U6), `recounted` (units) and `prices`."""
    spans = spans or Spans()
    parameters = {**asdict(spans), **price_parameters(catalog or load_catalog())}
    session = {"session_id": f"reconcile-{uuid.uuid4()}", "session_timeout": 600}
    try:
        for step in _STEPS:
            client.command(read_sql(f"reconcile/{step}.sql"), parameters=parameters, settings=session)
        yield session
    finally:
        for step in _STEPS:
            client.command(f"DROP TEMPORARY TABLE IF EXISTS {step}", settings=session)


def price_parameters(catalog: Catalog) -> dict[str, list[Any]]:
    """The dated prices of what the default plan (P2) bills, as arrays of the query's parameters."""
    plan = catalog.plans[0]
    prices = [price for price in plan.prices if plan.bills(price.unit)]
    return {
        "kinds": [price.unit for price in prices],
        "froms_us": [price.from_us for price in prices],
        "amounts_micros": [price.amount_micros for price in prices],
    }


def format(reconciliation: Reconciliation, most_rows: int = 50) -> Group:
    """For a person: one line when everything agrees, else a table of the first differences and the counts of all."""
    if reconciliation.is_clean:
        return Group(Text(f"{reconciliation.recounted_units:,} units counted again: no difference", style="green"))
    shown = Table("check", "workspace", "key", "day", "expected", "found", title="differences")
    for difference in reconciliation.differences[:most_rows]:
        shown.add_row(
            difference.check, difference.workspace, difference.key, difference.day, f"{difference.expected:,}",
            f"{difference.found:,}",
        )  # fmt: skip
    totals = ", ".join(f"{count:,} {check}" for check, count in reconciliation.counts.items())
    return Group(shown, Text(f"{reconciliation.recounted_units:,} units counted again; differences: {totals}", "red"))


Found = tuple[Sequence[Difference], dict[str, int]]


def _differences(client: Client, check: str, session: dict[str, Any]) -> Found:
    inner = read_sql(f"reconcile/check_{check}.sql")
    query = (
        "SELECT check, workspace, key, day, expected, found, count() OVER (PARTITION BY check) AS total "  # noqa: S608
        f"FROM ({inner}) ORDER BY check, workspace, key, day LIMIT {MOST_LISTED} BY check"
    )
    rows = client.query(query, settings=session).result_rows
    return [Difference(*row[:6]) for row in rows], {row[0]: row[6] for row in rows}


def _loaded_twice(client: Client) -> Found:
    """L3: what the loader must never do."""
    differences = [
        Difference("loaded once", "", count.table, "", min(count.places, count.origins), count.rows)
        for count in row_counts(client)
        if not count.is_loaded_once
    ]
    return differences, {"loaded once": len(differences)} if differences else {}
