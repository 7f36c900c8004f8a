"""The state is what the newest durable position covers, exactly, whatever was appended beside it (laws 1 and 8)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.durable.changelog import POSITION_KEY, CorruptChangelog, StateFold, position_output, state_outputs
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


DAY_MS = 24 * 60 * 60 * 1000
"""The records of a log are of instant 0."""
Log = list[tuple[int, bytes, bytes | None, tuple[tuple[str, bytes], ...]]]


def logged(parts: Iterable[Output]) -> Log:
    return [(at, part.key or b"", part.value, tuple(part.headers)) for at, part in enumerate(parts)]


def compacted(log: Log, first: int, end: int) -> Log:
    """What a cleaning leaves: below `end`, each record that is not followed by another of its key between `first` (what
    was cleaned before) and `end`. From `end` on nothing is touched, above all not the segment that is written to."""
    newest = {key: at for at, key, _, _ in log if first <= at < end}
    return [entry for entry in log if entry[0] >= end or newest.get(entry[1], -1) <= entry[0]]


def recovered(log: Log, now_ms: int = DAY_MS) -> tuple[int | None, dict[bytes, int]]:
    fold, machine = StateFold(), SumMachine()
    fold.records(Record(*entry) for entry in log)
    fold.check(now_ms)
    fold.restore_into(machine)
    return fold.position, machine.sums


def test_state_that_compaction_took_from_under_the_position_is_refused_and_not_taken_for_none() -> None:
    """Law 8: the process died before position 4, nobody ran for longer than the compaction's lag, and of `a` only what
    no position covers is left. While compaction has not come so far, it is the state at 2."""
    log = logged([*state(1, b=1), at(1), *state(2, a=1), at(2), *state(4, a=3)])
    assert recovered(log) == (2, {b"a": 1, b"b": 1})
    assert recovered(compacted(log, 0, 4)) == (2, {b"a": 1, b"b": 1})
    with pytest.raises(CorruptChangelog, match="its newest position is 2, and what b'a' was then may be gone; restore"):
        recovered(compacted(log, 0, 5))
    assert recovered(logged([at(0), *state(4, a=3)])) == (0, {})


def test_a_process_that_died_in_its_first_batch_after_a_pause_comes_back() -> None:
    """Laws 1 and 8: all but a new segment is compacted, and there a first batch is cut off that knows a new key. While
    that is young, compaction cannot have touched it, hence nothing is gone; whatever is older is in doubt."""
    cut = [*state(1, b=1), at(1), *state(2, b=2), at(2), *state(4, a=3), *state(6, b=3)]
    log = compacted(logged(cut), 0, 4)
    assert [entry[0] for entry in log] == [2, 3, 4, 5]
    for now_ms in (0, DAY_MS // 2 - 1, 1 - DAY_MS // 2):
        assert recovered(log, now_ms) == (2, {b"b": 2})
    for now_ms in (DAY_MS // 2, -DAY_MS):
        with pytest.raises(CorruptChangelog, match="its newest position is 2, and what b'a' was then may be gone"):
            recovered(log, now_ms)


def test_what_is_in_doubt_is_as_old_as_the_oldest_that_no_position_covers() -> None:
    """A later batch that was cut off as well makes the first no younger; a position that covers all ends it."""
    old, new = Record(1, b"sa", b"\0" * 7 + b"\x091"), Record(3, b"sb", b"\0" * 7 + b"\x081", timestamp_ms=DAY_MS)
    position = at(2)
    between = Record(2, position.key, position.value)
    for records in ([Record(0, position.key, position.value), old, new], [old, between, new]):
        fold = StateFold()
        fold.records(records)
        with pytest.raises(CorruptChangelog):
            fold.check(DAY_MS)
    fold = StateFold()
    fold.records([Record(1, b"sa", b"\0" * 7 + b"\x011"), between, new])
    fold.check(DAY_MS)


@settings(max_examples=300, deadline=None)
@given(
    batches=st.lists(st.dictionaries(st.sampled_from("abcd"), st.one_of(st.none(), st.integers(0, 9)), max_size=4)),
    cut=st.integers(0, 4),
    cleanings=st.lists(st.floats(0, 1), max_size=3),
)
def test_whatever_compaction_removed_the_state_is_that_of_the_position_or_refused(
    batches: list[dict[str, int | None]], cut: int, cleanings: list[float]
) -> None:
    """Laws 1 and 8, over any batches, the last of them cut off anywhere before its position, and any cleanings."""
    truth: dict[bytes, int] = {}
    parts: list[Output] = [at(0)]
    for number, batch in enumerate(batches, 1):
        whole = number < len(batches)
        written = state(number, **dict(list(batch.items())[: None if whole else cut]))
        parts += [*written, at(number)] if whole else written
        for key, value in batch.items() if whole else ():
            truth[key.encode()] = -1 if value is None else value
    wanted = {key: value for key, value in truth.items() if value >= 0}
    log, first = logged(parts), 0
    assert recovered(log) == (max(0, len(batches) - 1), wanted)
    for share in cleanings:
        end = first + round(share * (len(parts) - first))
        log, first = compacted(log, first, end), end
        try:
            assert recovered(log) == (max(0, len(batches) - 1), wanted)
        except CorruptChangelog:
            position = max(at for at, part in enumerate(parts) if part.key == POSITION_KEY)
            assert first > position, "all before what no position covers was cleaned, at least"
            return
