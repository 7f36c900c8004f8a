"""A statement as PDF: one table of balances, one of charges, and the ledger records it rests on. Letters of Latin-1."""

from __future__ import annotations

from collections.abc import Sequence

from fpdf import FPDF
from fpdf.enums import TableBordersLayout
from fpdf.fonts import FontFace

from projections.statement import Statement
from projections.web.present import usd

_TITLES = {
    "free": "Free credit", "paid_shared": "Paid credit, shared", "paid_apps": "Paid credit of apps",
    "due": "Owed",
}  # fmt: skip
_BALANCE_NAMES = ("Credit", "Opening", "Added", "Moved", "Charged", "Returned", "Settled", "Lapsed", "Closing")
_CHARGE_NAMES = ("App", "Unit", "Plan", "Price", "Charged", "Taken back", "Amount")
_HEAD = FontFace(emphasis="BOLD", fill_color=(235, 238, 242))


def statement_pdf(found: Statement) -> bytes:
    """The document. Amounts are US dollars with all digits that matter (C7)."""
    pdf = FPDF(orientation="landscape", format="A4")
    pdf.set_title(f"Statement {found.workspace} {found.first} to {found.last}")
    pdf.set_creator("Quarterhour")
    pdf.add_page()
    pdf.set_font("Helvetica", "B", 18)
    pdf.cell(text="Statement", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("Helvetica", size=11)
    _line(pdf, f"Workspace: {found.workspace}")
    _line(pdf, f"Period: {found.first} to {found.last}, both included ({found.zone})")
    _line(pdf, f"Charged in the period: USD {_usd(found.charged_micros)}")
    pdf.ln(4)
    _table(pdf, "Credit, in US dollars", _BALANCE_NAMES, [
        (_TITLES[b.credit], *(_usd(micros) for micros in (
            b.opening_micros, b.added_micros, b.moved_micros + b.other_micros, b.charged_micros, b.returned_micros,
            b.settled_micros, b.lapsed_micros, b.closing_micros,
        ))) for b in found.balances
    ])  # fmt: skip
    _table(pdf, "Charges, in US dollars", _CHARGE_NAMES, [
        (c.app, c.kind, c.plan, _usd(c.price_micros), f"{c.charged_units:,}", f"{c.reversed_units:,}", _usd(c.micros))
        for c in found.charges
    ] or [("none in this period", *[""] * 6)])  # fmt: skip
    pdf.set_font("Helvetica", size=9)
    if found.records:
        _line(pdf, f"Ledger records that took effect in the period: {found.records:,}, from {found.first_record:,} "
                   f"to {found.last_record:,}.")  # fmt: skip
        _line(pdf, f"SHA-256 of record {found.last_record:,}: {found.last_hash}")
    _line(pdf, f"Made when the ledger had {found.ledger_records:,} records; SHA-256 of the newest: {found.ledger_hash}")
    return bytes(pdf.output())


def _line(pdf: FPDF, text: str) -> None:
    pdf.multi_cell(0, text=_latin(text), new_x="LMARGIN", new_y="NEXT")


def _table(pdf: FPDF, title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    pdf.set_font("Helvetica", "B", 12)
    _line(pdf, title)
    pdf.set_font("Helvetica", size=9)
    words = 1 if names is _BALANCE_NAMES else 3
    align = ["LEFT"] * words + ["RIGHT"] * (len(names) - words)
    with pdf.table(borders_layout=TableBordersLayout.HORIZONTAL_LINES, headings_style=_HEAD, text_align=align) as table:
        for row in (names, *rows):
            table.row([_latin(text) for text in row])
    pdf.ln(4)


def _usd(micros: int) -> str:
    return usd(micros).replace("\u2212", "-")


def _latin(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")
