"""Names that outsiders choose stand in tables as they are: rich would read `[/x]` as markup, and fail."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from projections import reconcile
from projections.reconcile import Difference, Reconciliation
from projections.usage import UserUsage
from schemas.changes import LateUnit
from schemas.commands import AdmitLate
from scripts.late_preview import units_table
from scripts.report import table_of

ODD = "[/x] [red]"
DIFFERENCE = Difference("units", "acme", f"bot/web/{ODD} live session", "2026-01-01", 1, 2, (f"/g {ODD}",))
ADMISSION = AdmitLate("bot", "web", ODD, (), (LateUnit("late-1", "session", 1, 1, 1),), 0, "why")


@pytest.mark.parametrize(
    ("shown", "times"),
    [
        (reconcile.format(Reconciliation(1, {"units": 1}, (DIFFERENCE,))), 2),
        (table_of(UserUsage, [UserUsage("acme", ODD, 1, 1, 1)]), 1),
        (units_table("acme", ADMISSION, None), 1),
    ],
)
def test_what_looks_like_markup_is_shown_as_it_is(shown: RenderableType, times: int) -> None:
    out = io.StringIO()
    Console(file=out, width=200).print(shown)
    assert out.getvalue().count(ODD) == times
