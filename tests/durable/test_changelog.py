"""The state is what the newest durable position covers, exactly, whatever was appended beside it (laws 1 and 8)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from streams.durable.changelog import CorruptChangelog, StateFold, position_output, state_outputs
from streams.durable.machine import Output
from tests.durable.fakes import Record, SumMachine


def state(position: int, **values: int | None) -> list[Output]:
    changes = [(key.encode(), None if value is None else b"%d" % value) for key, value in values.items()]
    return state_outputs("state", 0, position, changes)


def at(position: int) -> Output:
    return position_output("state", 0, position, b"checkpoint %d" % position)


def fold_of(*parts: Output | Iterable[Output]) -> StateFold:
    fold = StateFold()
    outputs = [output for part in parts for output in ([part] if isinstance(part, Output) else part)]
    fold.records(
        Record(offset, output.key, output.value, tuple(output.headers)) for offset, output in enumerate(outputs)
    )
    return fold


def restored(*parts: Output | Iterable[Output]) -> tuple[int | None, dict[bytes, int], bytes | None]:
    fold, machine = fold_of(*parts), SumMachine()
    fold.restore_into(machine)
    return fold.position, machine.sums, machine.checkpoint_restored


def test_an_empty_changelog_holds_no_position_and_no_state() -> None:
    assert restored() == (None, {}, None)


def test_the_newest_position_and_the_newest_state_of_each_key_are_restored() -> None:
    found = restored(state(2, a=1, b=2), at(2), state(4, a=3), at(4))
    assert found == (4, {b"a": 3, b"b": 2}, b"checkpoint 4")


def test_a_tail_that_no_position_covers_is_held_back() -> None:
    assert restored(state(2, a=1), at(2), state(4, a=3, c=5)) == (2, {b"a": 1}, b"checkpoint 2")


def test_state_without_any_position_is_no_state() -> None:
    assert restored(state(2, a=1)) == (None, {}, None)


def test_an_orphan_is_covered_by_a_later_position_unless_newer_state_of_its_key_came() -> None:
    # A run died before its position 4; the next one went from 2 to 3, and later past 4.
    orphans = state(4, a=3, c=5)
    assert restored(state(2, a=1), at(2), orphans, state(3, a=2), at(3))[:2] == (3, {b"a": 2})
    later = (state(2, a=1), at(2), orphans, state(3, a=2), at(3), state(5, a=3, c=5), at(5))
    assert restored(*later)[:2] == (5, {b"a": 3, b"c": 5})


def test_a_stale_record_appended_late_is_passed_over() -> None:
    fold = fold_of(state(6, a=6), at(6), state(4, a=4), at(4))
    machine = SumMachine()
    fold.restore_into(machine)
    assert (fold.position, machine.sums, fold.stale) == (6, {b"a": 6}, 1)
    # Only a position shows what is before it: the stale state waits for one, and is then found to be stale.
    fold = fold_of(state(6, a=6), at(6), state(4, a=4), at(4), at(7))
    assert fold.stale == 2


def test_what_a_stale_record_overtook_is_written_again_because_compaction_keeps_the_last() -> None:
    fold = fold_of(state(6, a=6, b=7, c=None), at(6), state(4, a=4, c=3), at(4), state(8, b=8), at(8))
    again = fold.overtaken("state", 0)
    assert again == [*state(6, a=6), *state(6, c=None)]
    assert fold_of(state(6, a=6), at(6), at(4)).overtaken("state", 0) == [at(6)]
    assert fold_of(state(4, a=4), at(4), state(6, a=6), at(6)).overtaken("state", 0) == []


def test_compacted_after_writing_again_the_state_is_the_same() -> None:
    parts = [*state(6, a=6), at(6), *state(4, a=4), at(4), at(7)]
    again = fold_of(*parts).overtaken("state", 0)
    assert again
    last = {output.key: output for output in [*parts, *again]}
    assert restored(*last.values())[:2] == restored(*parts)[:2] == (7, {b"a": 6})


def test_a_tombstone_removes_the_key_at_its_position_only() -> None:
    assert restored(state(2, a=1, b=2), at(2), state(4, a=None), at(4))[:2] == (4, {b"b": 2})
    assert restored(state(2, a=1), at(2), state(4, a=None))[:2] == (2, {b"a": 1})
    assert restored(state(2, a=1), at(2), state(4, a=None), at(4), state(6, a=9), at(6))[:2] == (6, {b"a": 9})


def test_the_same_position_again_changes_nothing() -> None:
    assert restored(state(2, a=1), at(2), state(2, a=1), at(2))[:2] == (2, {b"a": 1})


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        (b"x", b"12345678", "unknown key"),
        (None, b"12345678", "unknown key"),
        (b"sa", b"short", "no position tag"),
        (b"sa", None, "no position tag"),
        (b"p", b"", "no position tag"),
    ],
)
def test_a_record_that_cannot_be_read_stops_the_recovery(key: bytes | None, value: bytes | None, what: str) -> None:
    with pytest.raises(CorruptChangelog, match=f"changelog offset 7: {what}"):
        StateFold().records([Record(7, key, value)])
