"""What `run --once` prints: everything from ClickHouse queries, for people (rich) or as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from projections import reconcile, usage
from schemas.catalog import MICROS_PER_USD
from scripts.references import Comparison

SHOWN_ROWS = 20


def usd(micros: int) -> str:
    """Micro-dollars as dollars with all digits that matter, e.g. `-0.20`."""
    whole, rest = divmod(abs(micros), MICROS_PER_USD)
    digits = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}{whole:,}.{digits}"


@dataclass(frozen=True, slots=True)
class Findings:
    """All that a report tells; `restarts` is how often a process had to be started again meanwhile."""

    summary: usage.Summary
    reconciliation: reconcile.Reconciliation
    comparison: Comparison | None
    restarts: int

    @property
    def differences(self) -> int:
        """How many differences the reconciliation found."""
        return sum(self.reconciliation.counts.values())

    @property
    def good(self) -> bool:
        """Whether everything agrees: the ledger with the events, and the counts with their references."""
        return self.reconciliation.is_clean and (self.comparison is None or self.comparison.matched)


def as_json(findings: Findings) -> str:
    """One line; amounts are numbers of dollars written exactly, counts are whole numbers."""
    summary, comparison = findings.summary, findings.comparison
    content: dict[str, Any] = {
        "events": summary.events,
        "conversations": summary.conversations,
        "sessions": summary.sessions,
        "late": summary.late,
        "rejected": summary.rejected,
        "charged_usd": _dollars(summary.charged_micros),
        "due_usd": _dollars(summary.due_micros),
        "lapsed_usd": _dollars(summary.lapsed_micros),
        "alerts": summary.alerts,
        "outcomes": summary.outcomes,
        "reconcile_differences": findings.differences,
        "reference_matched": None if comparison is None else comparison.matched,
        "process_restarts": findings.restarts,
    }
    return json.dumps(content)


def _dollars(micros: int) -> float:
    """For JSON readers only, at the very edge: below nine billion dollars a double shows each micro-dollar exactly."""
    return micros / MICROS_PER_USD


def show(console: Console, client: Any, findings: Findings) -> None:
    """Print the report."""
    _counts(console, findings.summary)
    _balances(console, client)
    _trend(console, client)
    _alerts(console, client)
    comparison = findings.comparison
    if comparison is None:
        console.print("Reference counts: none known for this log")
    else:
        console.print(f"Reference counts: {comparison}", style="green" if comparison.matched else "bold red")
        for line in comparison.differences[:SHOWN_ROWS]:
            console.print(f"  {line}", style="red", markup=False)
    console.print("Reconciliation:", reconcile.format(findings.reconciliation))


def table_of(row: type[Any], rows: Sequence[Any]) -> Table:
    """A table of data class rows, a column for each field."""
    table = Table()
    for field in fields(row):
        table.add_column(field.name, justify="right" if field.type == "int" else "left")
    for each in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else escape(str(value)) for value in astuple(each)))
    return table


def _counts(console: Console, summary: usage.Summary) -> None:
    table = Table(title="Events and units", title_justify="left", show_header=False)
    table.add_column("what")
    table.add_column("number", justify="right")
    for name, number in (
        ("events", summary.events),
        ("conversations", summary.conversations),
        ("sessions", summary.sessions),
        ("late", summary.late),
        ("rejected", summary.rejected),
        ("alerts", summary.alerts),
    ):
        table.add_row(name, f"{number:,}")
    for name, micros in (
        ("charged, USD", summary.charged_micros),
        ("of it still due, USD", summary.due_micros),
        ("credit lapsed, USD", summary.lapsed_micros),
    ):
        table.add_row(name, usd(micros))
    console.print(table)
    outcomes = ", ".join(f"{name} {number:,}" for name, number in summary.outcomes.items() if number)
    console.print(f"What became of the records (law 7): {outcomes}\n")


def _balances(console: Console, client: Any) -> None:
    rows = usage.balances(client)
    table = Table(title=_title("Balance per workspace, USD", len(rows), "first"), title_justify="left")
    table.add_column("workspace")
    for name in ("free", "paid, shared", "paid, apps", "due", "ledger records"):
        table.add_column(name, justify="right")
    for row in rows[:SHOWN_ROWS]:
        amounts = (row.free_micros, row.paid_shared_micros, row.paid_apps_micros, row.due_micros)
        table.add_row(row.workspace, *map(usd, amounts), f"{row.sequence:,}")
    console.print(table)


def _trend(console: Console, client: Any) -> None:
    days: dict[str, dict[str, usage.TrendPoint]] = {}
    for point in usage.daily_trend(client):
        days.setdefault(point.day, {})[point.kind] = point
    table = Table(title=_title("Daily trend", len(days), "last"), title_justify="left")
    table.add_column("UTC day")
    for name in ("conversations", "sessions", "charged, USD"):
        table.add_column(name, justify="right")
    for day in sorted(days)[-SHOWN_ROWS:]:
        points = days[day]
        counts = [points[kind].units if kind in points else 0 for kind in ("conversation", "session")]
        table.add_row(day, *(f"{count:,}" for count in counts), usd(sum(p.charged_micros for p in points.values())))
    console.print(table)


def _alerts(console: Console, client: Any) -> None:
    rows = usage.alerts(client)
    if not rows:
        console.print("No alerts\n")
        return
    table = Table(title=_title("Alerts", len(rows), "last"), title_justify="left")
    for name in ("at (UTC)", "workspace", "alert"):
        table.add_column(name)
    for row in rows[-SHOWN_ROWS:]:
        table.add_row(f"{row.time:%Y-%m-%d %H:%M:%S}", row.workspace, escape(row.message))
    console.print(table)


def _title(what: str, rows: int, which: str) -> str:
    return f"{what} (the {which} {SHOWN_ROWS} of {rows:,})" if rows > SHOWN_ROWS else what
