"""The chart of a trend: what is drawn is the points, and nothing that the page's policy would refuse."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from projections.trends import TrendPoint
from projections.web.chart import chart

SVG = "{http://www.w3.org/2000/svg}"
FIRST = date(2026, 2, 20)
units = some.integers(0, 10**9)
days = some.lists(some.tuples(units, units, units), min_size=1, max_size=31)


def points(paid: Sequence[tuple[int, int, int]]) -> list[TrendPoint]:
    return [
        TrendPoint(FIRST + timedelta(index), "", "", "", sum(each), *each, 0, 0, 0, 0)
        for index, each in enumerate(paid)
    ]


def drawn(given: Sequence[TrendPoint]) -> ElementTree.Element:
    return ElementTree.fromstring(str(chart(given)))


def words(node: ElementTree.Element) -> str:
    return node.findtext(f"{SVG}title") or ""


def bars(svg: ElementTree.Element) -> dict[str, tuple[str, float, float]]:
    """Words of a bar: the class of its series, where it begins and its height."""
    found = {}
    for index in range(3):
        for bar in svg.iterfind(f".//{SVG}g[@class='series serie-{index} color-{index}']//{SVG}g[@class='bar']"):
            shape = bar.find(f"{SVG}rect")
            assert shape is not None
            assert words(bar) not in found
            found[words(bar)] = (f"color-{index}", float(shape.attrib["y"]), float(shape.attrib["height"]))
    return found


def numbers(svg: ElementTree.Element, axis: str) -> list[tuple[str, float]]:
    """The labels of an axis and where they are along it."""
    along = "x" if axis == "axis x" else "y"
    texts = (each for one in svg.iter(f"{SVG}g") if one.get("class", "").startswith(axis) for each in one.iter())
    return [(each.text or "", float(each.attrib[along])) for each in texts if each.tag == f"{SVG}text"]


@settings(max_examples=40, deadline=None)
@given(days)
def test_each_bar_is_what_one_kind_of_credit_paid_in_one_period(paid: list[tuple[int, int, int]]) -> None:
    if not any(map(sum, paid)):
        paid = [*paid, (1, 0, 0)]
    svg = drawn(points(paid))
    found = bars(svg)
    expected = {
        f"{FIRST + timedelta(index)}: {count:,} {kind}": (f"color-{place}", count)
        for index, each in enumerate(paid)
        for place, (kind, count) in enumerate(zip(("free", "paid", "due"), each, strict=True))
        if count
    }
    most = max(map(sum, paid))
    tall = {name: count for name, (_, count) in expected.items() if count > most / 10**6}
    assert {name: colour for name, (colour, _, _) in found.items() if name in tall} == {
        name: expected[name][0] for name in tall
    }
    assert set(found) <= set(expected)  # what is too small to be seen may be left out
    scale = max(height for _, _, height in found.values()) / max(count for _, count in expected.values())
    for name, (_, _, height) in found.items():
        assert height == pytest.approx(expected[name][1] * scale, abs=0.01)


def test_kinds_stand_on_each_other_from_the_ground_up() -> None:
    svg = drawn(points([(30, 50, 20), (0, 7, 0)]))
    found = bars(svg)
    free, paid, due = (found[f"2026-02-20: {words}"] for words in ("30 free", "50 paid", "20 due"))
    ground = free[1] + free[2]
    assert paid[1] + paid[2] == pytest.approx(free[1])
    assert due[1] + due[2] == pytest.approx(paid[1])
    alone = found["2026-02-21: 7 paid"]
    assert alone[1] + alone[2] == pytest.approx(ground)
    scale = (ground - due[1]) / 100
    grid = [(float(label), y) for label, y in numbers(svg, "axis y")]
    assert [label for label, _ in grid] == sorted({label for label, _ in grid})
    assert len(grid) >= 2
    for (low, below), (high, above) in pairwise(grid):
        assert below - above == pytest.approx((high - low) * scale)


@pytest.mark.parametrize("paid", [[], [(0, 0, 0)], [(0, 0, 0)] * 90])
def test_nothing_is_drawn_of_nothing(paid: list[tuple[int, int, int]]) -> None:
    assert chart(points(paid)) is None


@pytest.mark.parametrize("count", [1, 7, 8, 9, 31, 57, 90])
def test_labels_are_few_do_not_touch_and_stay_within_the_picture(count: int) -> None:
    svg = drawn(points([(1_000_000, 2_000_000, index) for index in range(count)]))
    wide = float(svg.attrib["viewBox"].split()[2])
    plot = svg.find(f".//{SVG}g[@class='plot']")
    assert plot is not None
    left = float(re.findall(r"[\d.]+", plot.attrib["transform"])[0])
    spans = [(left + x - 3.6 * len(label), left + x + 3.6 * len(label)) for label, x in numbers(svg, "axis x")]
    assert 1 <= len(spans) <= 8
    assert numbers(svg, "axis x")[0][0] == "20 Feb"
    assert spans[0][0] >= 0 and spans[-1][1] <= wide
    assert all(one[1] < other[0] for one, other in pairwise(spans))
    assert all(left - 5 - 7.2 * len(label) >= 0 for label, _ in numbers(svg, "axis y"))


def test_nothing_inline_or_from_elsewhere_and_the_same_for_the_same() -> None:
    month = points([(index, 2, index % 3) for index in range(31)])
    text = str(chart(month))
    assert text == str(chart(month))
    assert "<!--" not in text
    svg = ElementTree.fromstring(text)
    assert {one.tag.removeprefix(SVG) for one in svg.iter()} == {"svg", "g", "rect", "path", "text", "title"}
    for one in svg.iter():
        assert not {name for name in one.attrib if name in ("style", "id") or name.startswith("on") or "href" in name}
    assert re.findall(r"https?:[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert svg.get("role") == "img"
    total = sum(point.units for point in month)
    assert svg.get("aria-label") == f"{total} billed units from 2026-02-20 in 31 periods, at most 33 in one"
