"""Each record is in ClickHouse exactly once (L3), whatever the loader's process dies of (laws 3 and 8)."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from projections.connect import connect, ensure_database
from projections.loader import tables
from projections.loader.journal import Batch, Journal, LoaderFault, slices_of
from projections.loader.loading import Loader, LoadPolicy
from projections.loader.records import TopicPartition
from projections.loader.store import Store
from projections.migrate import drop_all, migrate
from projections.positions import loaded_offsets
from projections.standing import row_counts
from projections.usage import summary
from schemas import topics
from schemas.interactions import MESSAGE
from tests.projections.fake_source import Log, LogSource, home_of, message
from tests.projections.loading import DyingClient, FlakyClient, Killed, TearingClient, contents, load_all
from tests.projections.small_world import EVE, small_world


@pytest.fixture(scope="module")
def undisturbed(clickhouse_server: str) -> dict[str, Any]:
    """What a database holds after loading the small world without a fault."""
    url = f"{clickhouse_server}/undisturbed"
    ensure_database(url)
    reference = connect(url)
    migrate(reference)
    asyncio.run(load_all(reference, small_world().log))
    held = contents(reference)
    reference.command("DROP DATABASE undisturbed SYNC")
    reference.close()
    return held


async def test_every_record_of_every_topic_is_loaded_and_positions_say_so(client: Client) -> None:
    world = small_world()
    await load_all(client, world.log)
    held = {place: len(records) for place, records in world.log.records.items() if records}
    assert loaded_offsets(client) == {(p.topic, p.partition): count for p, count in held.items()}
    rows = {count.table: count.rows for count in row_counts(client)}
    assert rows["interactions"] == held[TopicPartition(topics.INTERACTIONS, world.home)] - 1  # one is no event
    assert rows["unit_events"] + rows["watermarks"] + rows["commands"] == held[TopicPartition(topics.INBOX, 0)]
    assert (rows["ledger_entries"], rows["ledger_lines"], rows["ledger_charges"], rows["grants"]) == (3, 6, 2, 1)
    assert rows["ledger_parts"] == 3
    assert (rows["late"], rows["rejected"], rows["alerts"], rows["load_errors"]) == (1, 2, 1, 0)


@pytest.mark.parametrize("seed", range(6))
async def test_killed_at_any_insert_any_number_of_times_changes_no_result(
    client: Client, undisturbed: dict[str, Any], seed: int
) -> None:
    """After the intent, after some tables, before the position; the insert lost, or done but not acknowledged."""
    chance = random.Random(seed)
    log = small_world().log
    for _ in range(12):
        dying = DyingClient(client, chance.randint(2, 14), insert_is_done=chance.random() < 0.5)
        try:
            await load_all(dying, log, most_per_fetch=chance.choice((3, 7, 1000)))
        except Killed:
            continue
        break
    await load_all(client, log, most_per_fetch=5)
    assert contents(client) == undisturbed, f"seed {seed}"
    assert all(count.is_loaded_once for count in row_counts(client))


@pytest.mark.parametrize(
    ("table", "instant"), [("unit_events", "start"), ("ledger_lines", "time"), ("ledger_entries", "time")]
)
async def test_a_batch_of_which_some_partitions_were_written_is_completed(
    client: Client, undisturbed: dict[str, Any], table: str, instant: str
) -> None:
    """One insert over several ClickHouse partitions is not atomic: the token drops the parts that are there."""
    log = small_world().log
    with pytest.raises(Killed, match=table):
        await load_all(TearingClient(client, table, instant), log)
    assert client.query(f"SELECT count() FROM {table}").first_row[0] > 0
    await load_all(client, log)
    assert contents(client) == undisturbed


async def test_replaying_after_the_positions_are_lost_changes_no_result(
    client: Client, undisturbed: dict[str, Any]
) -> None:
    log = small_world().log
    await load_all(client, log, most_per_fetch=5)
    client.command("TRUNCATE TABLE load_positions")
    await load_all(client, log)
    assert contents(client) == undisturbed


async def test_an_output_produced_again_is_loaded_once(client: Client, undisturbed: dict[str, Any]) -> None:
    """Law 3: a restarted METER or ACCOUNTS repeats its outputs with the same origins, at new offsets."""
    world = small_world()
    for topic, partition in ((topics.INBOX, 0), (topics.LEDGER, 0), (topics.ALERTS, 0), (topics.LATE, world.home)):
        for record in list(world.log.records[TopicPartition(topic, partition)])[-3:]:
            world.log.append(topic, partition, record.value)
    await load_all(client, world.log, most_per_fetch=4)
    assert contents(client) == undisturbed
    repeats = client.query("SELECT sum(repeats) FROM load_positions").first_row[0]
    assert repeats > 0


async def test_a_record_nobody_can_read_is_kept_as_an_error_and_loading_goes_on(client: Client) -> None:
    world = small_world()
    offset = world.inbox(b"{")
    world.inbox(b'{"type": "unit.v1"}')
    world.inbox(_command_at(10**30))
    world.log.append(topics.INTERACTIONS, world.home, message(EVE, id="after", user="ann"))
    await load_all(client, world.log)
    query = "SELECT topic, kafka_partition, kafka_offset, reason FROM load_errors ORDER BY kafka_offset"
    assert client.query(query).result_rows == [
        (topics.INBOX, 0, offset, "not_json"),
        (topics.INBOX, 0, offset + 1, "invalid_field"),
        (topics.INBOX, 0, offset + 2, "invalid_field"),
    ]
    assert client.query("SELECT count() FROM interactions WHERE id = 'after'").first_row[0] == 1


def test_a_batch_finished_in_another_order_is_there_once_however_large_it_is(client: Client) -> None:
    """Runs of several partitions come interleaved and are read again one after the other (`Loader._finish`)."""
    count = 20_040  # the client's estimate of a row's size, from some rows, tells the two orders apart
    place = TopicPartition(topics.INTERACTIONS, 0)
    journal = Journal(client)
    batch = Batch(1, 1, slices_of([(place, 0, count)]))
    gathered = [_interaction(offset) for offset in range(count)]
    read_again = gathered[::2] + gathered[1::2]
    for rows in (gathered, read_again):
        columns = [list(column) for column in zip(*rows, strict=True)]
        Store(client, journal).insert(batch, tables.INTERACTIONS, columns)
    found = client.query("SELECT count(), uniqExact(kafka_offset) FROM interactions").first_row
    assert tuple(found) == (count, count)


async def test_a_batch_is_bounded_in_bytes(client: Client) -> None:
    log = Log()
    for number in range(6):
        log.append(topics.INTERACTIONS, home_of("ann"), message(EVE, id=f"i{number}"))
    size = len(log.records[TopicPartition(topics.INTERACTIONS, home_of("ann"))][0].value or b"")
    await load_all(client, log, LoadPolicy(most_bytes=2 * size), most_per_fetch=2)
    batches = client.query("SELECT next_offset - first_offset FROM load_batches ORDER BY first_offset").result_rows
    assert batches == [(2,), (2,), (2,)]


async def test_a_superseded_loader_stops_before_its_next_data(client: Client) -> None:
    log = Log()
    old = Loader(client, LogSource(log))
    await old.start()
    Journal(client).claim()
    log.append(topics.INTERACTIONS, home_of("ann"), message(EVE, id="x"))
    with pytest.raises(LoaderFault, match="another loader"):
        await old.run(asyncio.Event())
    assert client.query("SELECT count() FROM interactions").first_row[0] == 0
    await load_all(client, log)
    assert client.query("SELECT count() FROM interactions").first_row[0] == 1


async def test_records_below_the_position_are_passed_over(client: Client) -> None:
    log = Log()
    home = home_of("ann")
    for number in range(3):
        log.append(topics.INTERACTIONS, home, message(EVE, id=f"i{number}"))
    await load_all(client, log)
    log.append(topics.INTERACTIONS, home, message(EVE, id="new"))

    class Rewinding(LogSource):
        async def start(self, positions: Any) -> None:
            await super().start(dict.fromkeys(positions, 0))

    source = Rewinding(log)
    loader = Loader(client, source)
    await loader.start()
    stop = asyncio.Event()
    running = asyncio.create_task(loader.run(stop))
    await asyncio.wait_for(source.drained.wait(), 60)
    stop.set()  # what was given is loaded before it ends
    await running
    assert client.query("SELECT groupArray(id) FROM (SELECT id FROM interactions ORDER BY kafka_offset)").first_row[
        0
    ] == ["i0", "i1", "i2", "new"]


async def test_the_tables_dropped_and_loaded_again_are_the_same(client: Client, undisturbed: dict[str, Any]) -> None:
    """L5."""
    log = small_world().log
    await load_all(client, log)
    drop_all(client)
    assert client.query("SELECT count() FROM system.tables WHERE database = currentDatabase()").first_row[0] == 0
    migrate(client)
    await load_all(client, log, most_per_fetch=4)
    assert contents(client) == undisturbed


async def test_while_clickhouse_is_away_nothing_is_skipped(
    client: Client, undisturbed: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    flaky = FlakyClient(client, every=3)
    await load_all(flaky, small_world().log, most_per_fetch=7)
    assert contents(client) == undisturbed
    assert "ClickHouse takes no rows" in caplog.text


async def test_a_table_that_is_not_there_ends_the_loader_at_once(client: Client) -> None:
    log = small_world().log
    loader = Loader(client, LogSource(log))
    await loader.start()
    client.command("DROP TABLE watermarks SYNC")
    with pytest.raises(LoaderFault, match="watermarks"):
        await asyncio.wait_for(loader.run(asyncio.Event()), 60)


async def test_the_summary_adds_up(client: Client) -> None:
    """Law 7, C7."""
    await load_all(client, small_world().log)
    total = summary(client)
    assert (total.events, total.late, total.rejected) == (11, 1, 2)
    assert (total.conversations, total.sessions, total.alerts) == (4, 5, 1)
    assert (total.charged_micros, total.due_micros, total.lapsed_micros) == (400_000, 0, 0)
    assert sum(total.outcomes.values()) == 13


def _interaction(offset: int) -> tuple[Any, ...]:
    id = f"{offset}".ljust(600 if offset % 2 == 0 else 6)
    return (
        0,
        offset,
        EVE // 1000,
        True,
        MESSAGE,
        "s",
        id,
        EVE,
        "acme",
        "bot",
        "web",
        "ann",
        "inbound",
        "app",
        "live",
        1,
    )


def _command_at(time_us: int) -> bytes:
    return (
        b'{"type":"command.v1","command_id":"c","workspace":"acme","time_us":%d,'
        b'"actor":{"role":"operator","name":"o"},"body":{"kind":"create_workspace","owner":"o"}}' % time_us
    )
