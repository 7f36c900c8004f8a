"""Reconciling beside live traffic (L6): what was on its way is no difference; what differs and stays so is one."""

from __future__ import annotations

import pytest
from rich.console import Console

from projections.reconcile import MOST_LISTED, Difference, Reconciliation
from schemas.errors import ConfigurationError
from schemas.settings import Settings
from scripts.reconciling import due_in_seconds, reconcile_every, settled, standing


def one(key: str, expected: int = 1, found: int = 0, check: str = "units") -> Difference:
    return Difference(check, "acme", key, "2026-01-31", expected, found, (f"/gw {key}",))


def found(*differences: Difference, **counts: int) -> Reconciliation:
    told = {check: sum(each.check == check for each in differences) for check in {each.check for each in differences}}
    return Reconciliation(10, told | counts, differences)


@pytest.mark.parametrize(
    ("first", "second", "stands"),
    [
        (found(one("a")), found(), found()),
        (found(one("a")), found(one("a")), found(one("a"))),
        (found(one("a")), found(one("b")), found()),
        (found(one("a", 3, 2)), found(one("a", 4, 3)), found()),
        (found(one("a"), one("b")), found(one("b"), one("c", check="charges")), found(one("b"))),
        (found(one("a", check="charges")), found(one("a")), found()),
    ],
)
def test_what_differs_the_same_both_times_stands(
    first: Reconciliation, second: Reconciliation, stands: Reconciliation
) -> None:
    assert standing(first, second) == stands


def test_of_more_differences_than_are_listed_the_smaller_count_stands() -> None:
    first, second = found(one("a"), units=MOST_LISTED + 9), found(one("b"), units=MOST_LISTED + 5)
    assert standing(first, second) == Reconciliation(10, {"units": MOST_LISTED + 5}, ())
    assert standing(first, found(one("b"))).is_clean


@pytest.mark.parametrize(("again", "looks"), [(None, 1), (120, 2)])
def test_it_looks_again_only_when_asked_to(again: int | None, looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    answers = [found(one("a"), one("b")), found(one("b"))]
    asked = list(answers)
    said: list[str] = []
    result = settled(lambda: asked.pop(0), again, said.append)
    assert len(answers) - len(asked) == looks
    assert result == answers[looks - 1]
    assert slept == ([120] if again else [])
    assert [line.split(";")[0] for line in said] == (["2 differences"] if again else [])


def test_nothing_is_looked_at_again_when_nothing_differs() -> None:
    assert settled(lambda: found(), 120, pytest.fail).is_clean


@pytest.mark.parametrize(
    ("newest", "seconds"), [(None, 0), (1_000_000, 86_400), (1_000_000 - 86_399, 1), (1_000_000 - 90_000, 0)]
)
def test_it_is_due_so_long_after_the_newest_whoever_made_that(newest: float | None, seconds: float) -> None:
    assert due_in_seconds(newest, 1_000_000, 24) == seconds


def test_without_an_address_it_says_so() -> None:
    with pytest.raises(ConfigurationError, match="CLICKHOUSE_URL"):
        reconcile_every(24, Settings(clickhouse_url=""), Console(), None)
