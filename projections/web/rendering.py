"""Answers in other formats than JSON: CSV of lists and statements, PDF of statements."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from projections.statement import Statement, StatementBalance, StatementCharges
from projections.web.present import cell
from projections.web.statement_pdf import statement_pdf


@dataclass(frozen=True, slots=True)
class Rendering:
    """A format: its media type, and how an answer becomes its bytes."""

    media_type: str
    render: Callable[[Any], bytes]


def csv_of(row_type: type) -> Rendering:
    """A list of `row_type` as CSV (RFC 4180), with names first."""
    names = [field.name for field in fields(row_type)]

    def render(rows: Sequence[Any]) -> bytes:
        return _csv([names, *([getattr(row, name) for name in names] for row in rows)])

    return Rendering("text/csv", render)


def _statement_csv(found: Statement) -> bytes:
    """One table of lines (`balance`, `charge`, `record`), so that a spreadsheet can filter it."""
    balances = [field.name for field in fields(StatementBalance)][1:]
    charges = [field.name for field in fields(StatementCharges)]
    head: list[Any] = [found.workspace, found.first, found.last, found.zone]
    lines: list[list[Any]] = [["workspace", "first", "last", "zone", "line", "of", "figure", "value"]]
    for balance in found.balances:
        lines += [[*head, "balance", balance.credit, name, getattr(balance, name)] for name in balances]
    for charge in found.charges:
        of = " / ".join(str(value) for value in astuple(charge)[:3])
        lines += [[*head, "charge", of, name, getattr(charge, name)] for name in charges[3:]]
    figures = ("charged_micros", "first_record", "last_record", "records", "last_hash", "ledger_records", "ledger_hash")
    lines += [[*head, "statement", "", name, getattr(found, name)] for name in figures]
    return _csv(lines)


def _csv(lines: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([cell(value) for value in line] for line in lines)
    return text.getvalue().encode()


STATEMENT: Mapping[str, Rendering] = {
    "csv": Rendering("text/csv", _statement_csv),
    "pdf": Rendering("application/pdf", statement_pdf),
}
