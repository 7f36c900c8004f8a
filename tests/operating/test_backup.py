"""Backup and restore: the same offsets, append times and tables; what goes on is as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections import checksums
from projections.connect import connect
from projections.loader.records import TopicPartition
from projections.positions import loaded_offsets
from schemas.settings import Settings
from schemas.topics import INTERACTIONS, LEDGER, topic_table
from scripts.backing.format import (
    LEFT_OUT,
    MANIFEST,
    ORDER,
    BackupFault,
    Manifest,
    Saved,
    read_manifest,
    write_manifest,
)
from scripts.backing.restore import restore, steps
from scripts.backing.save import save
from scripts.operating.brokers import topic_states
from scripts.replay.publisher import replay
from streams.audit.ledger import audit_ledger
from streams.durable.reader import PartitionReader
from tests.deploy.servers import local_servers
from tests.end_to_end.logs import months_of_talk
from tests.end_to_end.pipeline import SETTINGS, log_of, pipeline

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
async def test_l5_restored_into_an_empty_kafka_everything_is_as_it_was_and_goes_on(tmp_path: Path) -> None:
    half = len(MESSAGES) // 2
    backup = tmp_path / "backup"
    async with pipeline(tmp_path / "before") as before:
        await replay(log_of(MESSAGES[:half], "first"), before.settings, None)
        await before.drained()
        manifest = await save(before.settings, backup)
        totals, tables = before.totals(), _tables(before.settings)
        stamps = await _stamps(before.settings)
        with pytest.raises(BackupFault, match="has held records"):
            await restore(before.settings, backup)
        await replay(log_of(MESSAGES[half:], "second"), before.settings, None)
        await before.drained()
        unharmed = before.totals()
        assert unharmed != totals
    assert sum(saved.records for saved in manifest.partitions if saved.topic == LEDGER) > 0
    async with local_servers(tmp_path / "empty") as servers:
        settings = SETTINGS.model_copy(
            update={"kafka_bootstrap_servers": servers.kafka, "clickhouse_url": servers.clickhouse}
        )
        await restore(settings, backup)
        assert [(s.name, s.differences) for s in await topic_states(settings) if s.differences] == []
        assert await _stamps(settings) == stamps
        assert (await audit_ledger(settings, lambda *_: None)).is_clean
        async with pipeline(tmp_path / "after", settings) as after:
            await after.drained()
            assert after.totals() == totals
            assert _tables(settings) == tables
            await replay(log_of(MESSAGES[half:], "second"), settings, None)
            await after.drained()
            assert after.differences() == {}
            assert after.totals() == unharmed
        assert (await audit_ledger(settings, lambda *_: None)).is_clean


def _records(offsets: set[int]) -> Iterator[Saved]:
    return (Saved(offset, offset, b"k", b"v") for offset in sorted(offsets))


def _tables(settings: Settings) -> dict[str, tuple[int, int]]:
    client = connect(settings.clickhouse_url)
    try:
        positions = {TopicPartition(*place): offset for place, offset in loaded_offsets(client).items()}
        return {name: checksums.compare(client, client, name, positions).live for name in checksums.names()}
    finally:
        client.close()


async def _stamps(settings: Settings) -> list[tuple[int, int, int]]:
    """Where each event lies and when it was appended."""
    found = []
    for partition in range(settings.interaction_partitions):
        async with PartitionReader(settings.kafka_bootstrap_servers, INTERACTIONS, partition) as reader:
            async for run in reader.read(await reader.beginning(), await reader.end()):
                found += [(partition, record.offset, record.timestamp_ms) for record in run]
    return found
