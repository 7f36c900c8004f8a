"""Backup and restore: the same offsets, append times and tables; what goes on is as if nothing had happened."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from schemas.settings import Settings
from schemas.topics import INTERACTIONS, LEDGER, METER_CHANGELOG, topic_table
from scripts.backing.comparing import compared, differences, torn
from scripts.backing.format import (
    LEFT_OUT,
    MANIFEST,
    ORDER,
    BackupFault,
    Manifest,
    Saved,
    SavedPartition,
    read_manifest,
    write_manifest,
)
from scripts.backing.restore import restore, steps
from scripts.cli import app
from scripts.stack.kafka_artifacts import KafkaUnavailable, kafka_artifacts
from streams.durable.changelog import position_output
from tests.end_to_end.logs import months_of_talk

MESSAGES = months_of_talk(11)[:300]


def test_every_topic_is_backed_up_or_left_out_on_purpose() -> None:
    assert sorted((*ORDER, *LEFT_OUT)) == sorted(topic.name for topic in topic_table())


@given(st.sets(st.integers(0, 60)), st.integers(0, 5))
def test_each_offset_is_written_or_hidden_exactly_once(offsets: set[int], after: int) -> None:
    end = max(offsets, default=-1) + 1 + after
    reached = 0
    for step in steps(_records(offsets), end, keep_offsets=True):
        for record in step.records:
            assert record.offset == reached
            reached += 1
        assert step.hidden != 1 or len(step.records) <= 1
        reached += step.hidden
    assert reached == end


@given(st.sets(st.integers(0, 60)))
def test_without_offsets_records_move_together(offsets: set[int]) -> None:
    found = list(steps(_records(offsets), 99, keep_offsets=False))
    assert all(step.hidden == 0 for step in found)
    assert [record.offset for step in found for record in step.records] == sorted(offsets)


def test_a_folder_that_is_no_whole_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupFault, match=f"holds no {MANIFEST}"):
        read_manifest(tmp_path)
    write_manifest(tmp_path, Manifest(2, "", 4, 4, ()))
    with pytest.raises(BackupFault, match="format 2"):
        read_manifest(tmp_path)


async def test_a_restore_for_other_partitions_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, Manifest(1, "", 8, 4, ()))
    with pytest.raises(BackupFault, match="QUARTERHOUR_INTERACTION_PARTITIONS=8"):
        await restore(Settings(), tmp_path)


@pytest.mark.stack
def test_l5_the_drill_backed_up_under_load_lost_and_restored_everything_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        kafka_artifacts(lambda _: None)
    except KafkaUnavailable as reason:
        pytest.skip(str(reason))
    monkeypatch.setenv("QUARTERHOUR_SESSION_TIMEOUT_SECONDS", "3")
    log = tmp_path / "log.csv.gz"
    rows = "".join(f"{m.workspace},{m.user},{m.time_us}\n" for m in MESSAGES)
    log.write_bytes(gzip.compress(f"workspace,user,time_us\n{rows}".encode()))
    done = CliRunner().invoke(app, ["drill", "--input", str(log), "--seconds", "2"], catch_exceptions=False)
    print(done.output)
    assert (done.exit_code, [line[:7].strip() for line in done.output.splitlines() if " s  " in line]) == (
        0,
        10 * ["ok"],
    )


def saved_part(folder: Path, topic: str, end: int, *records: Saved) -> SavedPartition:
    """One partition of a backup, written."""
    saved = SavedPartition(topic, 0, len(records), end, "")
    folder.mkdir(exist_ok=True)
    lines = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
    (folder / saved.file).write_bytes(gzip.compress(lines))
    return saved


@pytest.mark.parametrize(
    ("position", "offset", "found"),
    [(5, 4, []), (6, 4, ["meter.changelog-0: stands at 6 of 5"]),
     (5, 5, ["ledger-0@3: comes from interactions-0@5, which is not in it"])],
)  # fmt: skip
def test_law_3_a_backup_that_names_what_it_does_not_hold_is_torn(
    tmp_path: Path, position: int, offset: int, found: list[str]
) -> None:
    value = b'{"origin":{"topic":"interactions","partition":0,"offset":%d,"index":0},"kind":"charge"}' % offset
    marks = [position_output(METER_CHANGELOG, 0, at, b"") for at in (1, position)]
    parts = (
        saved_part(tmp_path, METER_CHANGELOG, 9, *(Saved(n, 0, mark.key, mark.value) for n, mark in enumerate(marks))),
        saved_part(tmp_path, LEDGER, 9, Saved(3, 0, b"acme", value)),
        saved_part(tmp_path, INTERACTIONS, 5),
    )
    assert torn(tmp_path, Manifest(1, "", 4, 4, parts)) == found


def test_l5_a_record_that_is_lost_moved_or_changed_is_named(tmp_path: Path) -> None:
    def written(folder: str, *records: Saved, topic: str = LEDGER, end: int = 2) -> tuple[Path, Manifest]:
        return tmp_path / folder, Manifest(1, "", 4, 4, (saved_part(tmp_path / folder, topic, end, *records),))

    one, two = Saved(0, 7, b"k", b"v"), Saved(1, 7, b"k", b"w", (("h", b"1"),))
    kept = written("kept", one, two)
    assert compared(*kept, *written("same", one, two)) == []
    for other in (
        (one,), (one, two, two), (two, one),
        (one, Saved(1, 8, b"k", b"w", two.headers)), (one, Saved(2, 7, b"k", b"w", two.headers)),
        (one, Saved(1, 7, b"k", b"x", two.headers)), (one, Saved(1, 7, b"k", b"w")),
    ):  # fmt: skip
        (found,) = compared(*kept, *written("other", *other))
        assert found.startswith("ledger-0: ")
    assert compared(*kept, *written("other", one, two, end=3)) == ["ledger-0: ends at 3 instead of 2"]
    moved = Saved(5, 7, b"k", b"v")
    for topic, count in ((METER_CHANGELOG, 0), (LEDGER, 1)):
        pair = (*written("here", one, topic=topic, end=1), *written("there", moved, topic=topic, end=6))
        assert len(compared(*pair)) == count


def test_each_figure_that_differs_is_named() -> None:
    found = list(differences({"summary": 1, "ws": 2, "gone": 3}, {"summary": 1, "ws": 4, "new": 5}))
    assert found == ["gone: None instead of 3", "new: 5 instead of None", "ws: 4 instead of 2"]


def _records(offsets: set[int]) -> Iterator[Saved]:
    return (Saved(offset, offset, b"k", b"v") for offset in sorted(offsets))
