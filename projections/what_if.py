"""What a period's units would have cost on another plan (U10): METER counts conversations and sessions always.

Included units and fees are per app and term (P4): each calendar month of the reader's zone, or for a yearly offer the
whole period once. Of a term's units the first are the included ones. A contract's figures are not in the catalog, so
they are asked for (P3), and hold for the workspace as a whole. Notifications are not compared. Money in micro-dollars.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from clickhouse_connect.driver.client import Client

from projections.ranges import Days
from projections.sql import read_sql
from projections.statement import charges_of
from schemas.catalog import Plan
from schemas.instants import micros_of


@dataclass(frozen=True, slots=True)
class Terms:
    """Whom to compare with: a plan, its offer's `period`, and for a contract its figures."""

    plan: Plan
    period: str = "monthly"
    price_micros: int = 0
    included: int = 0
    fee_micros: int = 0


@dataclass(frozen=True, slots=True)
class WhatIfLine:
    """One app (empty for a contract) in one term, `since` its first day: units, and what they would have cost."""

    app: str
    since: date
    units: int
    included_units: int
    charged_units: int
    units_micros: int
    fee_micros: int


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The comparison. `was_micros`: charged for conversations and sessions in the period, net; `difference_micros`:
    what the other plan would have cost more (or, negative, less). Fees paid in the period are not in `was_micros`."""

    workspace: str
    first: date
    last: date
    zone: str
    plan: str
    billing_unit: str
    lines: tuple[WhatIfLine, ...]
    would_be_micros: int
    was_micros: int
    difference_micros: int


def what_if(client: Client, workspace: str, days: Days, terms: Terms) -> WhatIf:
    """The period's units priced by `terms`; no lines where nothing was billable."""
    plan = terms.plan
    since = sorted({price.from_us for price in plan.prices if price.unit == plan.billing_unit})
    begin, end = days.bounds()
    parameters = {
        "workspace": workspace, "kind": plan.billing_unit, "zone": days.zone.key, "since_us": since,
        "begin_us": micros_of(begin), "end_us": micros_of(end),
    }  # fmt: skip
    rows = client.query(read_sql("reading/what_if.sql"), parameters=parameters).result_rows
    lines = tuple(priced(rows, terms, days, since))
    would_be = sum(line.units_micros + line.fee_micros for line in lines)
    charged = charges_of(client, workspace, days)
    was = sum(line.micros for line in charged if line.kind in ("conversation", "session"))
    return WhatIf(
        workspace, days.first, days.last, days.zone.key, plan.id, plan.billing_unit, lines, would_be, was,
        would_be - was,
    )  # fmt: skip


def priced(
    rows: Sequence[tuple[str, date, int, int]], terms: Terms, days: Days, since_us: Sequence[int]
) -> list[WhatIfLine]:
    """Pure: lines of rows (app, month, number of price versions begun, units)."""
    units: dict[tuple[str, date], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for app, month, version, count in rows:
        whole = terms.plan.kind == "contract"
        term = days.first if whole or terms.period == "yearly" else max(month, days.first)
        units["" if whole else app, term][version] += count
    return [_line(app, term, counts, terms, days, since_us) for (app, term), counts in sorted(units.items())]


def _line(
    app: str, term: date, counts: Mapping[int, int], terms: Terms, days: Days, since_us: Sequence[int]
) -> WhatIfLine:
    included, fee = _offered(term, terms, days)
    left, charged, micros = included, 0, 0
    for version, count in sorted(counts.items()):
        free = min(left, max(count, 0))
        left -= free
        charged += count - free
        micros += (count - free) * _price(version, terms, since_us)
    return WhatIfLine(app, term, sum(counts.values()), included - left, charged, micros, fee)


def _offered(term: date, terms: Terms, days: Days) -> tuple[int, int]:
    """Included units and fee of a term: the offer in force when it begins."""
    if terms.plan.kind == "contract":
        return terms.included, terms.fee_micros
    begins = datetime.combine(term, time(), days.zone).astimezone(UTC)
    offer = terms.plan.offer(terms.period, micros_of(begins))
    return (offer.included, offer.fee_micros) if offer else (0, 0)


def _price(version: int, terms: Terms, since_us: Sequence[int]) -> int:
    if terms.plan.kind == "contract":
        return terms.price_micros
    return terms.plan.price_micros(terms.plan.billing_unit, since_us[version - 1]) if version else 0
