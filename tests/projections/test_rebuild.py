"""The read side is rebuilt beside the live tables, compared, and swapped in (L5)."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from projections import checksums
from projections.checksums import TableComparison
from projections.connect import beside, connect
from projections.loader.hold import _IS_HELD, Hold
from projections.loader.journal import LoaderFault
from projections.loader.loading import Loader, LoadPolicy
from projections.loader.records import TopicPartition
from projections.rebuild import SUFFIX, Progress, RebuildFault, Swap, drop_beside, rebuild
from projections.rebuilding.lanes import LanesUnknown, lanes_of
from projections.rebuilding.readers import Readers
from projections.reconcile import reconcile
from schemas import topics
from tests.projections.fake_source import Log, LogSource, home_of, message
from tests.projections.funded_world import APRIL_1, funded_world
from tests.projections.loading import contents, load_all
from tests.projections.small_world import PRICE

SMALLER = LoadPolicy(enough_records=3, most_records=6, linger_seconds=0.01)
SMALL = LoadPolicy(enough_records=15, most_records=30, linger_seconds=0.01)


@pytest.fixture
async def log(client: Client) -> Log:
    """A log that has been loaded."""
    log = funded_world().log
    await load_all(client, log)
    return log


def url_of(client: Client, clickhouse_server: str) -> str:
    return f"{clickhouse_server}/{client.database}"


def databases(client: Client) -> set[str]:
    return {row[0] for row in client.query("SHOW DATABASES").result_rows}


async def test_l5_rebuilt_from_the_log_everything_is_the_same(client: Client, clickhouse_server: str, log: Log) -> None:
    before = contents(client)
    told: list[Progress] = []
    done = await rebuild(url_of(client, clickhouse_server), LogSource(log, 7), policy=SMALL, tell=told.append)
    assert [str(c) for c in done.comparisons if not c.is_same] == []
    assert done.swapped
    assert done.rows > done.records == sum(len(records) for records in log.records.values())
    assert contents(client) == before
    assert f"{client.database}{SUFFIX}" not in databases(client)
    assert {p.stage for p in told} == {"loading", "comparing", "swapping"}
    assert all(p.done <= p.total for p in told)
    log.append(topics.INTERACTIONS, home_of("ann"), message(APRIL_1, id="after"))
    loader = await load_all(client, log)
    assert loader.records_loaded == 1  # loading goes on after the swap
    assert client.query("SELECT count() FROM interactions WHERE id = 'after'").first_row == (1,)


async def test_damaged_live_tables_are_shown_and_mended_when_asked_to(
    client: Client, clickhouse_server: str, log: Log
) -> None:
    url = url_of(client, clickhouse_server)
    good = contents(client)
    tried = await rebuild(url, LogSource(log), swap=Swap.NEVER, policy=SMALL)
    assert (tried.is_same, tried.swapped) == (True, False)
    client.command("DELETE FROM ledger_parts WHERE sequence = 9")
    client.command(
        f"INSERT INTO account_flows (workspace, account, what, micros) VALUES ('acme', 'due:bot', 'charged', {PRICE})"
    )
    first = await rebuild(url, LogSource(log), policy=SMALL)
    assert not first.swapped
    assert {c.table for c in first.comparisons if not c.is_same} == {"ledger_parts", "account_flows"}
    assert "ledger_parts" in str(next(c for c in first.comparisons if not c.is_same))
    mended = await rebuild(url, LogSource(log), swap=Swap.ALWAYS, policy=SMALL)
    assert mended.records == 0  # what the first one loaded was still there
    assert contents(client) == good


async def test_cut_off_anywhere_it_goes_on(client: Client, clickhouse_server: str, log: Log) -> None:
    class Breaking(LogSource):
        left = 4

        async def fetch(self, max_records: int, timeout_seconds: float) -> Any:
            self.left -= 1
            if not self.left:
                raise LoaderFault("cut off")
            return await super().fetch(max_records, timeout_seconds)

    before = contents(client)
    url = url_of(client, clickhouse_server)
    with pytest.raises(LoaderFault, match="cut off"):
        await rebuild(url, Breaking(log, 7), policy=SMALL)
    half = connect(beside(url, SUFFIX)).query("SELECT sum(next_offset) FROM load_positions").first_row[0]
    done = await rebuild(url, LogSource(log), policy=SMALL)
    assert half > 0
    assert 0 < done.records < sum(len(records) for records in log.records.values())
    assert done.swapped
    assert contents(client) == before
    assert "records have one outcome" not in reconcile(client).counts


async def test_killed_with_9_at_any_point_and_in_the_swap_it_goes_on(
    client: Client, clickhouse_server: str, log: Log
) -> None:
    """Whoever reads meanwhile sees tables that fit each other: both sides of the swap stand at the same positions."""
    before, url = contents(client), url_of(client, clickhouse_server)
    for stage, step in (("loading", 20), ("comparing", 4), ("swapping", 1), ("swapping", 6), ("swapping", 11)):
        arguments = [sys.executable, "-m", "tests.projections.killed_rebuild", url, stage, str(step)]
        killed = await asyncio.create_subprocess_exec(*arguments)
        assert await killed.wait() == -signal.SIGKILL, f"{stage} {step}"
        assert contents(client) == before, f"{stage} {step}"
    assert client.query(_IS_HELD).first_row[0]  # by the dead one, for a minute
    done = await rebuild(url, LogSource(log), policy=SMALL)
    assert (done.is_same, done.swapped) == (True, True)
    assert contents(client) == before
    log.append(topics.INTERACTIONS, home_of("ann"), message(APRIL_1, id="after"))
    assert (await load_all(client, log)).records_loaded == 1


def readers(*arguments: str) -> Readers:
    return Readers((sys.executable, "-m", "tests.projections.log_reader", *arguments), least_records=1)


async def test_one_of_two_readers_killed_with_9_ends_the_rebuild_and_the_next_goes_on(
    client: Client, clickhouse_server: str, log: Log
) -> None:
    before, url = contents(client), url_of(client, clickhouse_server)
    for fetches in ("3", "2"):
        with pytest.raises(LoaderFault, match=r"reader [01]: was ended by SIGKILL; the next rebuild goes on"):
            await rebuild(url, LogSource(log), policy=SMALLER, readers=readers(fetches))
        assert contents(client) == before
    told: list[Progress] = []
    done = await rebuild(url, LogSource(log), policy=SMALL, tell=told.append, readers=readers())
    assert [str(c) for c in done.comparisons if not c.is_same] == []
    assert done.swapped
    assert 0 < done.records < sum(len(records) for records in log.records.values())
    loading = [p.done for p in told if p.stage == "loading"]
    assert loading == sorted(loading)
    assert loading[-1] == sum(len(records) for records in log.records.values())
    assert contents(client) == before


async def test_a_reader_that_cannot_go_on_says_why(client: Client, clickhouse_server: str, log: Log) -> None:
    with pytest.raises(LoaderFault, match=r"reader [01]: the log is away; the next rebuild goes on"):
        await rebuild(url_of(client, clickhouse_server), LogSource(log), policy=SMALL, readers=readers("away"))
    drop_beside(url_of(client, clickhouse_server))


def test_a_partition_stays_in_its_lane_and_one_that_comes_later_gets_one(client: Client) -> None:
    places = [TopicPartition(topic, partition) for topic in (topics.LEDGER, topics.INBOX) for partition in range(3)]
    first = lanes_of(client, places[:-1], {place: 100 + place.partition for place in places})
    assert all(lane.places for lane in first)
    assert sorted(place for lane in first for place in lane.places) == sorted(places[:-1])
    then = lanes_of(client, places, {places[0]: 1_000_000})
    assert all(lane.places <= later.places for lane, later in zip(first, then, strict=True))
    assert sorted(place for lane in then for place in lane.places) == sorted(places)


def test_a_rebuild_of_a_version_without_lanes_is_begun_anew(client: Client) -> None:
    """Its newest batch may be unfinished, and no lane knows its boundaries."""
    client.insert("load_positions", [["ledger", 0, 7]], column_names=["topic", "partition", "next_offset"])
    with pytest.raises(LanesUnknown, match="--fresh"):
        lanes_of(client, [TopicPartition(topics.LEDGER, 0)], {})


async def test_the_live_loader_stops_for_the_swap_and_the_next_one_waits(client: Client, log: Log) -> None:
    old = Loader(client, LogSource(log))
    await old.start()
    hold = Hold.take(client)
    log.append(topics.INTERACTIONS, home_of("ann"), message(APRIL_1, id="new"))
    with pytest.raises(LoaderFault, match="another loader"):
        await old.run(asyncio.Event())
    waiting = asyncio.create_task(load_all(client, log))
    await asyncio.sleep(0.6)
    assert client.query("SELECT count() FROM interactions WHERE id = 'new'").first_row == (0,)
    hold.release()
    await waiting
    assert client.query("SELECT count() FROM interactions WHERE id = 'new'").first_row == (1,)


async def test_a_swap_is_refused_once_a_loader_has_begun(
    client: Client, clickhouse_server: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hold that was lost must not swap: the loader's new rows would be exchanged away."""
    before = contents(client)

    def claimed_meanwhile(live: Client, *_: Any) -> TableComparison:
        live.command("INSERT INTO loaders (epoch, owner) SELECT max(epoch) + 1, 'a loader' FROM loaders")
        return TableComparison("any", (0, 0), (0, 0))

    monkeypatch.setattr(checksums, "compare", claimed_meanwhile)
    with pytest.raises(RebuildFault, match="a loader began"):
        await rebuild(url_of(client, clickhouse_server), LogSource(log), policy=SMALL)
    assert contents(client) == before
    client.command(f"DROP DATABASE `{client.database}{SUFFIX}` SYNC")
