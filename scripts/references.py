"""Reference counts: what independent implementations found in a log, compared with what the pipeline found.

A log `X.csv.gz` may have `X.expected_by_user.csv.gz` and `X.expected_by_day.csv.gz` beside it. For the sample the
totals are known.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projections import usage

SAMPLE = {"events": 31_106, "users": 600, "conversations": 3_722, "sessions": 5_982}
"""The sample's totals, found by a sort-and-sweep recount that shares nothing with this project."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many reference rows there are, and which differ."""

    rows: int
    differences: tuple[str, ...]

    @property
    def matched(self) -> bool:
        """Whether every row is as expected."""
        return not self.differences

    def __str__(self) -> str:
        if self.matched:
            return f"all {self.rows:,} rows matched exactly"
        return f"{len(self.differences):,} of {self.rows:,} rows differ"


def compare_with_files(client: Any, log: Path) -> Comparison | None:
    """Compare per user and per day with the files beside a log; None when there are none."""
    stem = log.name.removesuffix(".gz").removesuffix(".csv")
    by_user = log.with_name(f"{stem}.expected_by_user.csv.gz")
    by_day = log.with_name(f"{stem}.expected_by_day.csv.gz")
    if not by_user.exists() or not by_day.exists():
        return None
    users = [
        (row.workspace, row.user, str(row.events), str(row.conversations), str(row.sessions))
        for row in usage.units_by_user(client)
    ]
    days = [(row.workspace, str(row.day), row.unit, str(row.count)) for row in usage.units_by_day(client)]
    expected_users, expected_days = _rows(by_user), _rows(by_day)
    differences = [*_differences(expected_users, users), *_differences(expected_days, days)]
    return Comparison(len(expected_users) + len(expected_days), tuple(differences))


def compare_with_sample(client: Any) -> Comparison:
    """Compare with the sample's known totals."""
    rows = usage.units_by_user(client)
    found = {
        "events": sum(row.events for row in rows),
        "users": len(rows),
        "conversations": sum(row.conversations for row in rows),
        "sessions": sum(row.sessions for row in rows),
    }
    differences = [
        f"{name}: expected {SAMPLE[name]}, found {found[name]}" for name in SAMPLE if SAMPLE[name] != found[name]
    ]
    return Comparison(len(SAMPLE), tuple(differences))


def _rows(path: Path) -> list[tuple[str, ...]]:
    reader = csv.reader(io.StringIO(gzip.decompress(path.read_bytes()).decode()))
    next(reader)
    return [tuple(row) for row in reader]


def _differences(expected: Sequence[tuple[str, ...]], found: Sequence[tuple[str, ...]]) -> list[str]:
    missing = [f"expected {', '.join(row)}" for row in sorted(set(expected) - set(found))]
    extra = [f"found    {', '.join(row)}" for row in sorted(set(found) - set(expected))]
    return missing + extra
