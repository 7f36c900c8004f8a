"""What admitted late events do to the units of one key: which units go, come, move, or turn billable or not (U5, U12).

Pure: units as they stand and as a recount has them. A unit keeps its id while it starts on the same UTC day, in the
order of their starts, as METER would have it; else it goes, and another comes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from projections.recount import Counted
from schemas.changes import LateUnit
from schemas.instants import day_of

_Unit = TypeVar("_Unit", "Standing", Counted)
Span = tuple[int, int]
"""First and last instant of a conversation, both inclusive."""


class Standing(NamedTuple):
    """A unit as METER, and what was admitted since, left it."""

    unit_id: str
    kind: str
    start_us: int
    billable: bool

    @property
    def counted(self) -> Counted:
        """As a recount tells it."""
        return Counted(self.kind, self.start_us, self.billable)


def within(units: Iterable[_Unit], spans: Sequence[Span]) -> list[_Unit]:
    """The units that start in one of the spans."""
    return [unit for unit in units if any(first <= unit.start_us <= last for first, last in spans)]


def agree(stand: Sequence[Standing], counted: Sequence[Counted]) -> bool:
    """Whether a recount has the units that stand."""
    return Counter(unit.counted for unit in stand) == Counter(counted)


def changed(stand: Sequence[Standing], after: Sequence[Counted], spans: Sequence[Span], salt: str) -> list[LateUnit]:
    """The units that are not as they stand; `salt` makes the ids of new ones. Without their charges."""
    found: list[LateUnit] = []
    for span in spans:
        for kind in sorted({unit.kind for unit in stand} | {unit.kind for unit in after}):
            old = [unit for unit in within(stand, [span]) if unit.kind == kind]
            new = [unit for unit in within(after, [span]) if unit.kind == kind]
            found += _changed(old, new, salt)
    return sorted(found, key=lambda unit: (unit.start_us, unit.kind))


def _changed(old: list[Standing], new: list[Counted], salt: str) -> list[LateUnit]:
    """One kind of units within one conversation, as it is afterwards."""
    found: list[LateUnit] = []
    coming = sorted(new, key=lambda unit: unit.start_us)
    going: list[Standing] = []
    for unit in sorted(old, key=lambda unit: unit.start_us):
        same = next((one for one in coming if one.start_us == unit.start_us), None)
        if same is None:
            going.append(unit)
            continue
        coming.remove(same)
        if same.billable != unit.billable:
            found.append(LateUnit(unit.unit_id, unit.kind, unit.start_us, 0, same.billable - unit.billable))  # type: ignore[arg-type]
    for unit in going:
        moved = next((one for one in coming if day_of(one.start_us) == day_of(unit.start_us)), None)
        if moved is None:
            found.append(LateUnit(unit.unit_id, unit.kind, unit.start_us, -1, -int(unit.billable)))  # type: ignore[arg-type]
            continue
        coming.remove(moved)
        found.append(
            LateUnit(
                unit.unit_id, unit.kind, moved.start_us, 0, moved.billable - unit.billable,  # type: ignore[arg-type]
                from_us=unit.start_us, stays_billable=moved.billable and unit.billable,
            )
        )  # fmt: skip
    for place, one in enumerate(coming):
        same_before = coming[:place].count(one)  # two notifications of the same instant, say
        unit_id = _id(salt, one, same_before)
        found.append(LateUnit(unit_id, one.kind, one.start_us, 1, int(one.billable)))  # type: ignore[arg-type]
    return found


def _id(salt: str, unit: Counted, same_before: int) -> str:
    what = f"{salt}/{unit.kind}/{unit.start_us}" + (f"/{same_before}" if same_before else "")
    return "late-" + hashlib.sha256(what.encode()).hexdigest()[:32]
