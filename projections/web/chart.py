"""A trend as a stacked bar chart in SVG, drawn by pygal: well kept, on the server, so no script and no build step.

The page's policy allows no code inline, and its stylesheet knows the reader's dark mode: so of what the library draws
only shapes and words are kept, and `static/page.css` gives them their looks by the library's class names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pygal
from markupsafe import Markup
from pygal.style import Style

from projections.trends import TrendPoint

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

KINDS = ("free", "paid", "due")
"""The series, from the bottom up: which credit paid. The stylesheet's `color-0` and so on are in this order."""
_MOST_LABELS = 8
_SHAPES = {"g", "path", "rect", "text", "title"}
_STYLE = Style(label_font_size=12, major_label_font_size=12)  # what margins are reckoned with; as in the stylesheet


def chart(points: Sequence[TrendPoint]) -> Markup | None:
    """Units by period, stacked by who paid, as an `svg` element; None where there is nothing to draw."""
    most = max((point.units for point in points), default=0)
    if most <= 0:
        return None
    drawing = pygal.StackedBar(
        width=720, height=200, margin=8, margin_left=1, margin_right=20, spacing=6, style=_STYLE, classes=["trend"],
        css=[], js=[], no_prefix=True, disable_xml_declaration=True, show_legend=False,
        x_labels=[f"{point.period:%d %b}" for point in points], truncate_label=-1,
        x_labels_major_every=-(-len(points) // _MOST_LABELS), show_minor_x_labels=False,
        order_min=0, max_scale=4, value_formatter=lambda units: f"{units:,.0f}",
    )  # fmt: skip
    for kind in KINDS:
        drawing.add(kind, [_bar(point, kind) for point in points])
    total = sum(point.units for point in points)
    summary = f"{total:,} billed units from {points[0].period} in {len(points)} periods, at most {most:,} in one"
    drawing.add_xml_filter(lambda root: _plain(root, summary))
    return Markup(drawing.render())  # noqa: S704  # the library escapes; the words are dates and numbers


def _bar(point: TrendPoint, kind: str) -> dict[str, object]:
    units: int = getattr(point, f"{kind}_units")
    return {"value": units, "tooltip": f"{point.period}: {units:,} {kind}"}


def _plain(root: Element, summary: str) -> Element:
    """Only shapes and words, an image with its words; no styles, scripts, notes for scripts, or bars of nothing."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag not in _SHAPES or "overlay" in child.get("class", "") or _is_nothing(child):
                parent.remove(child)
    for title in root.findall("title"):  # the library's name
        root.remove(title)
    del root.attrib["id"]
    root.attrib.update({"role": "img", "aria-label": summary})
    return root


def _is_nothing(node: Element) -> bool:
    shape = node.find("rect")
    return node.get("class") == "bar" and shape is not None and float(shape.get("height", 1)) == 0
