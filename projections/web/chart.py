"""A stacked bar chart of a trend as plain figures, which the template draws as SVG: no script, no library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projections.trends import TrendPoint

WIDTH, HEIGHT = 720, 200
LEFT, BOTTOM, TOP = 44, 24, 10
_MOST_LABELS = 8


@dataclass(frozen=True, slots=True)
class Bar:
    """One rectangle of a stack: pixels, its kind of credit (its colour), and its words."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars, grid lines (y, label) and labels of the periods (x, label)."""

    bars: tuple[Bar, ...]
    grid: tuple[tuple[float, str], ...]
    labels: tuple[tuple[float, str], ...]
    summary: str


def chart(points: Sequence[TrendPoint]) -> Chart | None:
    """Units by period, stacked by who paid; None where there is nothing to draw."""
    most = max((point.units for point in points), default=0)
    if most <= 0:
        return None
    top = _round_up(most)
    step = (WIDTH - LEFT) / len(points)
    width = max(step * 0.72, 1.0)
    scale = (HEIGHT - BOTTOM - TOP) / top
    bars: list[Bar] = []
    for index, point in enumerate(points):
        y = float(HEIGHT - BOTTOM)
        for kind, units in (("free", point.free_units), ("paid", point.paid_units), ("due", point.due_units)):
            if units > 0:
                y -= units * scale
                title = f"{point.period}: {units:,} {kind}"
                bars.append(Bar(LEFT + index * step + (step - width) / 2, y, width, units * scale, kind, title))
    grid = tuple((HEIGHT - BOTTOM - part * scale, f"{part:,}") for part in sorted({0, top // 2, top}))
    every = -(-len(points) // _MOST_LABELS)
    labels = tuple(
        (LEFT + (index + 0.5) * step, f"{point.period:%d %b}")
        for index, point in enumerate(points)
        if index % every == 0
    )
    total = sum(point.units for point in points)
    summary = f"{total:,} billed units from {points[0].period} in {len(points)} periods, at most {most:,} in one"
    return Chart(tuple(bars), grid, labels, summary)


def _round_up(most: int) -> int:
    """The next 1, 2 or 5 times a power of ten, and even, so that its half is whole."""
    power = 1
    while True:
        for step in (2, 4, 10):
            if step * power >= most:
                return step * power
        power *= 10
