"""Entitlements come from a compacted topic: what was replaced may be gone from the log, and that is no fault."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from projections import checksums
from projections.connect import connect, ensure_database
from projections.loader.kafka import COMPACTED
from projections.loader.records import Record, Run, Slice, TopicPartition
from projections.migrate import migrate
from projections.positions import loaded_offsets
from projections.rebuild import Swap, drop_beside, rebuild
from schemas import topics
from schemas.commands import AddFunds, CreateWorkspace
from tests.projections.fake_source import Log, LogSource
from tests.projections.loading import load_all
from tests.projections.whole_world import HOUR, T0, USD, WholeWorld


class CompactedSource(LogSource):
    """Gives of each entitlement the newest record only, at its offset."""

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.removed = 0

    async def fetch(self, max_records: int, timeout_seconds: float) -> list[Run]:
        kept = []
        for run in await super().fetch(max_records, timeout_seconds):
            if run.place.topic == topics.ENTITLEMENTS:
                newest = [record for record in run.records if self._is_newest(record)]
                self.removed += len(run.records) - len(newest)
                run = Run(run.place, newest)
            if run.records:
                kept.append(run)
        return kept

    def _is_newest(self, record: Record) -> bool:
        last = self._log.records[TopicPartition(record.topic, record.partition)][-1]
        return record.offset == last.offset

    async def read(self, wanted: Slice) -> list[Record]:
        raise AssertionError("nothing was cut off")


def told() -> Log:
    """One app, told about several times."""
    world = WholeWorld()
    world.order(T0, CreateWorkspace("olga"))
    world.say(T0 + HOUR)
    for number in range(4):
        world.order(T0 + (2 + number) * HOUR, AddFunds(1000 * USD, f"p{number}"))
    return world.log


def test_the_loader_knows_which_topics_are_compacted() -> None:
    assert topics.ENTITLEMENTS in COMPACTED
    assert topics.LEDGER not in COMPACTED


async def test_a_rebuild_from_a_compacted_log_has_the_same_entitlements(client: Client, clickhouse_server: str) -> None:
    """L5, E1."""
    log = told()
    await load_all(client, log)
    history = client.query("SELECT count() FROM entitlements").first_row[0]
    source = CompactedSource(log)
    url = f"{clickhouse_server}/{client.database}"
    try:
        done = await rebuild(url, source, swap=Swap.NEVER)
    finally:
        drop_beside(url)  # another test gets this database
    assert source.removed == history - 1 > 0
    assert [str(compared) for compared in done.comparisons if not compared.is_same] == []


async def test_another_newest_entitlement_is_a_difference(client: Client, clickhouse_server: str) -> None:
    log = told()
    await load_all(client, log)
    url = f"{clickhouse_server}/other"
    ensure_database(url)
    other = connect(url)
    try:
        migrate(other)
        await load_all(other, log)
        other.command("DELETE FROM entitlements WHERE kafka_offset = (SELECT max(kafka_offset) FROM entitlements)")
        places = {TopicPartition(*place): offset for place, offset in loaded_offsets(client).items()}
        compared = checksums.compare(client, other, "entitlements", places)
    finally:
        other.command("DROP DATABASE other SYNC")
        other.close()
    assert not compared.is_same
