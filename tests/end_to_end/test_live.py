"""The live stack (`quarterhour up`), spoken to with nothing of ours: confluent-kafka in, ClickHouse's HTTP out."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import confluent_kafka
import psutil
import pytest
from typer.testing import CliRunner

from schemas.settings import Settings
from scripts.cli import app
from scripts.operating.doctor import CHECKS, Verdict
from scripts.stack.home import Home
from scripts.stack.kafka_artifacts import KafkaUnavailable, kafka_artifacts
from tests.end_to_end.collector import Collector, collecting

pytestmark = pytest.mark.stack


@dataclass(frozen=True, slots=True)
class Live:
    """A running `quarterhour up`."""

    process: subprocess.Popen[bytes]
    kafka: str
    clickhouse: str
    metrics: str
    page: str
    ingest: str
    output: Path
    mailbox: str
    environment: dict[str, str]
    collector: Collector

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a query, as curl would get them."""
        base, database = self.clickhouse.rsplit("/", 1)
        parameters = urllib.parse.urlencode({"database": database, "default_format": "JSONEachRow"})
        with urllib.request.urlopen(f"{base}/?{parameters}", data=sql.encode(), timeout=60) as answer:
            return [json.loads(line) for line in answer.read().splitlines()]

    def publish(self, *values: bytes, key: bytes | None = None, topic: str = "interactions", **settings: Any) -> None:
        """Publish with confluent-kafka's ordinary producer."""
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": self.kafka, "message.max.bytes": 8_000_000, **settings}
        )
        for value in values:
            producer.produce(topic, value=value, key=key)
        assert producer.flush(30) == 0

    def eventually(self, sql: str, condition: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Rows of the query once the condition holds; fails after minutes."""
        deadline = time.monotonic() + 200
        while True:
            rows = self.query(sql)
            if condition(rows):
                return rows
            assert time.monotonic() < deadline, f"still {rows} for {sql}"
            time.sleep(0.2)


def event(workspace: str, identity: str, time: datetime, **data: Any) -> bytes:
    """The event of the README."""
    content = {"workspace": workspace, "app": "helper", "channel": "web", "user": "u1", "direction": "inbound", **data}
    return json.dumps(
        {
            "specversion": "1.0",
            "id": identity,
            "source": "/gateways/web-1",
            "type": "quarterhour.message.v1",
            "time": time.isoformat(),
            "data": content,
        }
    ).encode()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Live]:
    try:
        kafka_artifacts(lambda _: None)
    except KafkaUnavailable as problem:
        pytest.skip(str(problem))
    home = tmp_path_factory.mktemp("live")
    environment = {
        **os.environ, "QUARTERHOUR_HOME": str(home), "QUARTERHOUR_SESSION_TIMEOUT_SECONDS": "3",
        "QUARTERHOUR_ANSWER_SECONDS": "8", "QUARTERHOUR_OTEL_ENDPOINT": collector.address,
    }  # fmt: skip
    world = Home(home).world("live")
    output = home / "up.txt"
    with output.open("wb") as file:
        command = [sys.executable, "-m", "scripts.cli", "up"]
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    deadline = time.monotonic() + 240
    while (record := world.running()) is None:
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)
    yield Live(
        process,
        record.addresses["kafka"],
        record.addresses["clickhouse"],
        record.addresses["meter-metrics"],
        record.addresses["page"],
        record.addresses["ingest"],
        output,
        record.addresses["mailbox"],
        environment,
        collector,
    )
    process.kill()
    process.wait()


def test_an_event_published_by_any_kafka_client_is_billed_within_seconds(live: Live) -> None:
    now = datetime.now(UTC)
    live.publish(event("acme", "e-1", now), key=b"acme/helper/web/u1")
    (row,) = live.eventually("SELECT * FROM balances WHERE workspace = 'acme'", lambda rows: len(rows) == 1)
    assert int(row["free_micros"]) == 500_000_000 - 200_000
    assert live.query("SELECT kind, billable FROM units WHERE workspace = 'acme' ORDER BY kind") == [
        {"kind": "conversation", "billable": 1},
        {"kind": "session", "billable": 1},
    ]


async def test_every_part_says_that_it_is_ready_and_the_doctor_hears_it(live: Live) -> None:
    home = Home(Path(live.environment["QUARTERHOUR_HOME"]))
    async with asyncio.timeout(200):
        while (found := await CHECKS["parts"](Settings(), home)).verdict is not Verdict.GOOD:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    parts = {"meter", "accounts", "loader", "clock", "mailer", "accounts-api", "ingest", "page"}
    assert set(found.found.removesuffix(": ready").split(", ")) == parts


def test_whatever_codec_a_publisher_compresses_with_its_events_are_billed(live: Live) -> None:
    """Law 7: a codec that our clients cannot read must not stop METER or the loader for everybody."""
    now = datetime.now(UTC)
    for codec in ("gzip", "lz4", "snappy", "zstd"):
        value = event("codecs", codec, now, user=codec, padding="x" * 2_000)
        live.publish(value, key=f"codecs/helper/web/{codec}".encode(), **{"compression.codec": codec})
    units = "SELECT user FROM units WHERE workspace = 'codecs' AND kind = 'conversation' ORDER BY user"
    rows = live.eventually(units, lambda rows: len(rows) == 4)
    assert [row["user"] for row in rows] == ["gzip", "lz4", "snappy", "zstd"]


def _quarterhour(live: Live, *arguments: str) -> str:
    command = [sys.executable, "-m", "scripts.cli", *arguments]
    done = subprocess.run(command, env=live.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _post(live: Live, key: str, body: bytes, **more: str) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/cloudevents+json", **more}
    request = urllib.request.Request(f"{live.ingest}v1/events", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_an_event_posted_over_http_is_a_unit_and_only_while_its_key_is_in_force(live: Live) -> None:
    key = _quarterhour(live, "keys", "create", "--workspace", "posted", "--label", "test", "--quiet").strip()
    trace_id, client = secrets.token_hex(16), secrets.token_hex(8)
    _until_posted_gives(live, key, event("acme", "e-0", datetime.now(UTC)), 403)  # the ingest has heard of the key
    traced = event("posted", "e-1", datetime.now(UTC))
    status, answer = _post(live, key, traced, traceparent=f"00-{trace_id}-{client}-01")
    assert (status, answer["accepted"], answer["results"][0]["topic"]) == (200, 1, "interactions")
    live.eventually("SELECT count() AS n FROM charges WHERE workspace = 'posted'", lambda rows: int(rows[0]["n"]) == 1)
    units = live.query("SELECT kind, user, billable FROM units WHERE workspace = 'posted' ORDER BY kind")
    assert [(row["kind"], row["user"], row["billable"]) for row in units] == [
        ("conversation", "u1", 1),
        ("session", "u1", 1),
    ]
    assert _post(live, key, event("acme", "e-2", datetime.now(UTC)))[0] == 403
    _followed_to_the_ledger(live, trace_id, client, answer["results"][0]["offset"])
    key_id = key.split("_")[1]
    assert key not in _quarterhour(live, "keys", "list")
    assert key_id in _quarterhour(live, "keys", "list", "--workspace", "posted")
    assert "is revoked" in _quarterhour(live, "keys", "revoke", key_id, "--workspace", "posted")
    _until_posted_gives(live, key, event("posted", "e-3", datetime.now(UTC)), 401)


def _until_posted_gives(live: Live, key: str, body: bytes, status: int) -> None:
    deadline = time.monotonic() + 60
    while (found := _post(live, key, body)[0]) != status:
        assert time.monotonic() < deadline, f"{found} instead of {status}"
        time.sleep(0.1)


def _followed_to_the_ledger(live: Live, trace_id: str, client: str, offset: int) -> None:
    """The event's trace goes from the gateway's request to the ledger record that ClickHouse shows."""
    steps = ("ingest", "meter interactions", "accounts account.inbox", "loader ledger")
    taken, metered, posted, visible = live.collector.chain(trace_id, *steps)
    assert (taken.parent_id, taken.offset, metered.offset) == (client, offset, offset)
    services = [span.service for span in (taken, metered, posted, visible)]
    assert services == ["quarterhour-ingest", "quarterhour-meter", "quarterhour-accounts", "quarterhour-loader"]
    (entry,) = live.query(
        "SELECT origin_offset, kafka_offset FROM ledger_entries WHERE workspace = 'posted' AND kind = 'charge'"
    )
    assert (posted.offset, visible.offset) == (int(entry["origin_offset"]), int(entry["kafka_offset"]))
    assert all(0 <= span.seconds < 60 for span in (taken, metered, posted, visible))


def test_the_command_that_up_prints_publishes_an_event(live: Live, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    (line,) = [line.strip() for line in live.output.read_text().splitlines() if line.strip().startswith("curl ")]
    line = line.replace("acme", "curled")
    program = tmp_path / "quarterhour"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m scripts.cli "$@"\n')
    program.chmod(0o755)
    environment = {**live.environment, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["accepted"] == 1, done.stdout


def test_u3_publishers_with_other_partitioners_or_no_key_still_make_one_conversation(live: Live) -> None:
    now = datetime.now(UTC)
    events = [event("mixed", f"e-{n}", now + timedelta(seconds=n)) for n in range(40)]
    for n, partitioner in enumerate(("consistent_random", "murmur2_random", "random", "fnv1a_random")):
        live.publish(*events[n::4], key=None if n == 2 else b"mixed/helper/web/u1", partitioner=partitioner)
    live.eventually(
        "SELECT uniqExact(id) AS n FROM interactions WHERE workspace = 'mixed' AND routed",
        lambda rows: int(rows[0]["n"]) == 40,
    )
    live.eventually("SELECT count() AS n FROM charges WHERE workspace = 'mixed'", lambda rows: int(rows[0]["n"]) == 1)
    counts = live.query("SELECT kind, count() AS n FROM units WHERE workspace = 'mixed' GROUP BY kind ORDER BY kind")
    assert [(row["kind"], int(row["n"])) for row in counts] == [("conversation", 1), ("session", 1)]


def test_bad_input_is_set_aside_with_its_reason_and_the_pipeline_goes_on(live: Live) -> None:
    now = datetime.now(UTC)
    lacking = json.loads(event("bad", "lacks", now))
    del lacking["data"]["user"]
    live.publish(
        b"this is not JSON",
        json.dumps(lacking).encode(),
        event("bad", "large", now, padding="x" * 2_000_000),
        event("bad", "old", datetime(1970, 1, 1, tzinfo=UTC)),
        event("bad", "ahead", now + timedelta(days=365)),
        event("bad", "late", now - timedelta(days=2)),
        event("bad", "good", now),
    )
    rejected = live.eventually(
        "SELECT reason, field, size_bytes FROM rejected ORDER BY reason", lambda rows: len(rows) >= 5
    )
    assert [(row["reason"], row["field"]) for row in rejected] == [
        ("implausible_time", "time"),
        ("missing_field", "data.user"),
        ("not_json", ""),
        ("too_early", "time"),
        ("too_large", ""),
    ]
    assert int(rejected[4]["size_bytes"]) > 2_000_000
    (late,) = live.eventually("SELECT reason, id FROM late WHERE workspace = 'bad'", lambda rows: len(rows) >= 1)
    assert late == {"reason": "late", "id": "late"}
    live.eventually("SELECT count() AS n FROM charges WHERE workspace = 'bad'", lambda rows: int(rows[0]["n"]) == 1)
    # In the topics too, where they can be re-driven from.
    assert _values(live, "interactions.late") == 1
    assert _values(live, "interactions.rejected") == 5


def _values(live: Live, topic: str) -> int:
    consumer = confluent_kafka.Consumer({"bootstrap.servers": live.kafka, "group.id": "test"})
    partitions = [confluent_kafka.TopicPartition(topic, p) for p in range(4)]
    ends = [consumer.get_watermark_offsets(partition, timeout=60)[1] for partition in partitions]
    consumer.close()
    return sum(ends)


def test_law_7_the_metrics_count_every_record_once_and_so_does_clickhouse(live: Live) -> None:
    names = ("opened", "joined", "repeated", "late", "rejected", "rerouted", "tick")

    def counted() -> tuple[int, dict[str, float]]:
        read, outcomes = 0, dict.fromkeys(names, 0.0)
        with urllib.request.urlopen(live.metrics, timeout=60) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("quarterhour_position{"):
                    read += int(float(line.rsplit(" ", 1)[1]))
                elif line.startswith("quarterhour_outcomes_total{"):
                    outcome = line.split('outcome="')[1].split('"')[0]
                    outcomes[outcome] = outcomes.get(outcome, 0) + float(line.rsplit(" ", 1)[1])
        return read, outcomes

    def settled() -> dict[str, float]:
        read, outcomes = counted()
        while sum(outcomes.values()) != read:  # a batch may be between the counts and the position for a moment
            time.sleep(0.1)
            read, outcomes = counted()
        assert read > 50
        return {name: count for name, count in outcomes.items() if count and name != "tick"}

    outcomes = settled()
    assert outcomes["opened"] >= 3
    assert outcomes["rerouted"] > 0
    # The clock ticks every second, so soon ClickHouse has a watermark that counts all that the metrics count.
    live.eventually(
        "SELECT outcome, records FROM outcomes",
        lambda rows: all(int(dict(_pairs(rows)).get(name, 0)) == count for name, count in settled().items()),
    )


def _pairs(rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(row["outcome"], int(row["records"])) for row in rows]


def test_replay_publishes_to_the_running_stack_and_a_second_time_nothing(live: Live, tmp_path: Path) -> None:
    now_us = time.time_ns() // 1000
    log = tmp_path / "recent.csv"
    rows = [f"replayed,u{n % 7},{now_us - n * 60_000_000}" for n in range(50)]
    log.write_text("\n".join(["workspace,user,time_us", *rows]) + "\n")
    command = [sys.executable, "-m", "scripts.cli", "replay", str(log), "--speed", "3600"]
    for expected in ("50 events published", "0 events published"):
        done = subprocess.run(command, env=live.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert expected in done.stderr
    live.eventually(
        "SELECT count() AS n FROM charges WHERE workspace = 'replayed'", lambda rows: int(rows[0]["n"]) == 7
    )


def test_a3_an_owner_is_mailed_within_seconds_and_the_mail_is_metered_and_listed(live: Live) -> None:
    now_us = time.time_ns() // 1000
    told: dict[str, dict[str, Any]] = {"create_workspace": {"owner": "olga", "email": "olga@mailed.example"},
            "set_alerts": {"amounts_micros": [499_900_000], "percents": []}}  # fmt: skip
    roles = {"create_workspace": "system", "set_alerts": "operator"}
    commands = [
        {"type": "command.v1", "command_id": f"mailed-{kind}", "workspace": "mailed", "time_us": now_us,
         "actor": {"role": roles[kind], "name": "olga"}, "body": {"kind": kind, **body}}
        for kind, body in told.items()
    ]  # fmt: skip
    values = [json.dumps(command).encode() for command in commands]
    live.publish(*values, key=b"mailed", topic="account.inbox", partitioner="murmur2_random")
    live.publish(event("mailed", "m-1", datetime.now(UTC)), key=b"mailed/helper/web/u1")
    (row,) = live.eventually(
        "SELECT * FROM deliveries WHERE workspace = 'mailed' AND status = 'sent'", lambda rows: len(rows) == 1
    )
    assert (row["kind"], row["channel"], row["recipient"]) == ("low_balance", "email", "olga@mailed.example")
    with urllib.request.urlopen(f"{live.mailbox}?workspace=mailed", timeout=60) as answer:
        (mail,) = json.loads(answer.read())
    assert mail["message_id"] == row["message_id"]
    assert mail["subject"] == "[mailed] Low balance: USD 499.80 left"
    live.eventually("SELECT 1 FROM units WHERE workspace = 'mailed' AND kind = 'alert'", lambda rows: len(rows) == 1)
    listing = [sys.executable, "-m", "scripts.cli", "mails", "--workspace", "mailed", "--text"]
    done = subprocess.run(listing, env=live.environment, capture_output=True, text=True, check=True)
    assert "Threshold:   USD 499.90" in done.stdout


def test_l6_reconcile_of_the_running_stack_is_clean(live: Live) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.cli", "reconcile", "--again-after", "20"],
        env=live.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_l5_a_rebuild_from_the_topics_is_the_same_and_is_swapped_in(live: Live) -> None:
    command = [sys.executable, "-m", "scripts.cli", "rebuild"]
    done = subprocess.run(command, env=live.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every table is the same; swapped in" in " ".join(done.stdout.split())
    assert int(live.query("SELECT free_micros FROM balances WHERE workspace = 'acme'")[0]["free_micros"]) == 499_800_000


def test_l4_the_balance_of_any_instant_is_a_command(live: Live) -> None:
    command = [sys.executable, "-m", "scripts.cli", "balance", "acme", "--at"]
    before = subprocess.run(
        [*command, "2020-01-01T00:00:00Z"], env=live.environment, capture_output=True, text=True, check=True
    )
    assert "499,800,000" not in before.stdout
    after = subprocess.run(
        [*command, "2099-01-01T00:00:00Z"], env=live.environment, capture_output=True, text=True, check=True
    )
    assert "499" in after.stdout
    wrong = subprocess.run([*command, "yesterday"], env=live.environment, capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert "yesterday" in wrong.stderr


def test_l7_a_ledger_record_a_unit_and_an_event_are_explained(live: Live) -> None:
    command = [sys.executable, "-m", "scripts.cli", "explain", "acme"]

    def explained(what: str) -> str:
        done = subprocess.run([*command, what], env=live.environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    (row,) = live.query("SELECT unit_id FROM units WHERE workspace = 'acme' AND kind = 'conversation'")
    for what in ("1", row["unit_id"], "e-1"):
        told = explained(what)
        assert f"conversation {row['unit_id']} of u1 with helper on web" in told
        assert "charged at USD 0.20 by ledger record 1" in told
        assert "event e-1 of /gateways/web-1" in told
    assert "has no ledger record, unit or event 'nothing'" in " ".join(explained("nothing").split())


def test_an_account_obeys_commands_and_the_ledger_is_verified(live: Live) -> None:
    """The account API of the stack, its key and its address are found by the command line."""
    created = _told(live, "account", "create-workspace", "told", "--owner", "olga", "--json")
    assert (created["outcome"], created["record"]["kind"]) == ("accepted", "workspace_created")
    done = _operate(live, "account", "create-app", "told", "--app", "helper", "--person", "olga")
    assert "done: app_changed, ledger record 2 of told" in done
    live.eventually("SELECT * FROM balances WHERE workspace = 'told'", lambda rows: len(rows) == 1)
    assert "told: using free credits" in _operate(live, "account", "show", "told")
    assert _told(live, "verify", "--json")["clean"]


def test_the_page_shows_the_workspaces_to_whom_the_printed_link_signs_in(live: Live) -> None:
    with urllib.request.urlopen(live.page, timeout=60) as answer:
        assert "acme" not in answer.read().decode()
    link = re.search(r"http://\S+/sign-in\?token=\S+", live.output.read_text())
    assert link is not None
    visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    for address in (link[0], live.page):
        with visitor.open(address, timeout=60) as answer:
            text = answer.read().decode()
    assert "acme" in text


def test_a_second_stack_on_the_same_data_is_refused_with_the_addresses_of_the_first(live: Live) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.cli", "up"], env=live.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert live.kafka in done.stderr


def test_a_named_clickhouse_is_looked_into_without_starting_anything(live: Live, tmp_path: Path) -> None:
    """Nothing is started, and nothing kept, to look into a ClickHouse that is named."""
    environment = {
        **live.environment,
        "QUARTERHOUR_HOME": str(tmp_path),
        "KAFKA_BOOTSTRAP_SERVERS": live.kafka,
        "CLICKHOUSE_URL": live.clickhouse,
    }
    done = subprocess.run(
        [sys.executable, "-m", "scripts.cli", "units", "--format", "csv"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "acme,u1,1,1,1" in done.stdout.splitlines()
    assert list(tmp_path.iterdir()) == []


def test_operators_see_topics_and_lag_and_that_all_is_well(live: Live) -> None:
    assert "interactions.rejected" in _operate(live, "topics")
    behind = _operate(live, "lag", "--partitions")
    assert all(reader in behind for reader in ("METER", "ACCOUNTS", "MAILER", "LOADER"))
    assert "bad" not in _operate(live, "doctor").split()


def test_a_refused_record_is_put_back_corrected_and_is_billed(live: Live, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    wrong = event("mended", "m-1", now).replace(b'"user": "u1"', b'"user": ""')
    live.publish(wrong, key=b"mended/helper/web/u1")
    refused = "SELECT reason FROM rejected WHERE payload LIKE '%mended%'"
    live.eventually(refused, lambda rows: len(rows) == 1)
    listed = _operate(live, "dlq", "list", "--json", "--containing", "mended")
    (letter,) = [json.loads(line) for line in listed.splitlines()]
    assert letter["field"] == "data.user"
    assert json.loads(_operate(live, "dlq", "show", letter["name"]).splitlines()[-1])["id"] == "m-1"

    _operate(live, "dlq", "retry", letter["name"])  # as it was: refused again, under a name of its own
    live.eventually(refused, lambda rows: len(rows) == 2)
    corrected = tmp_path / "corrected.json"
    corrected.write_bytes(event("mended", "m-1", now))
    for _ in range(2):  # the second changes nothing (U7)
        _operate(live, "dlq", "retry", letter["name"], "--value", str(corrected))
    live.eventually("SELECT count() AS n FROM charges WHERE workspace = 'mended'", lambda rows: int(rows[0]["n"]) == 1)
    live.eventually(
        "SELECT count() AS n FROM interactions WHERE workspace = 'mended'", lambda rows: int(rows[0]["n"]) == 2
    )
    assert live.query("SELECT sum(units) AS n FROM usage_daily WHERE workspace = 'mended' AND kind = 'session'") == [
        {"n": 1}
    ]
    assert "names no dead letter" in _operate(live, "dlq", "show", "nonsense", fails=True)
    assert "was refused" in _operate(live, "dlq", "show", "interactions-0-999999", fails=True)


def test_a_record_that_accounts_refused_is_put_back_as_the_command_it_was_to_be(live: Live, tmp_path: Path) -> None:
    live.publish(b'{"type":"command.v1","workspace":"botched"}', key=b"botched", topic="account.inbox")
    refused = "SELECT reason FROM rejected WHERE origin_topic = 'account.inbox' AND payload LIKE '%botched%'"
    live.eventually(refused, lambda rows: len(rows) == 1)
    (line,) = _operate(live, "dlq", "list", "--json", "--containing", "botched").splitlines()
    name = json.loads(line)["name"]
    assert name.startswith("account.inbox-")
    assert "botched" in _operate(live, "dlq", "show", name).splitlines()[-1]

    assert "is still no command" in _operate(live, "dlq", "retry", name, fails=True)
    corrected = tmp_path / "corrected.json"
    actor, body = {"role": "system", "name": "signup"}, {"kind": "create_workspace", "owner": "olga"}
    command = {"type": "command.v1", "command_id": "b-1", "workspace": "botched", "actor": actor, "body": body}
    corrected.write_text(json.dumps({**command, "time_us": int(time.time() * 1_000_000)}))
    for _ in range(2):  # the second changes nothing (law 3)
        _operate(live, "dlq", "retry", name, "--value", str(corrected))
    entries = "SELECT kind FROM ledger_entries WHERE workspace = 'botched'"
    live.eventually(entries, lambda rows: rows == [{"kind": "workspace_created"}])


def test_u6_a_late_event_is_billed_after_all_by_an_operator_and_everything_still_adds_up(live: Live) -> None:
    now = datetime.now(UTC)
    for identity, minutes in (("t-1", 0), ("t-2", 26 * 60), ("t-3", 26 * 60 - 20), ("t-4", 26 * 60 - 10)):
        live.publish(event("tardy", identity, now - timedelta(minutes=minutes)), key=b"tardy/helper/web/u1")
    charges = "SELECT count() AS n FROM charges WHERE workspace = 'tardy'"
    live.eventually(charges, lambda rows: int(rows[0]["n"]) == 1)
    live.eventually("SELECT count() AS n FROM late WHERE workspace = 'tardy'", lambda rows: int(rows[0]["n"]) == 3)
    listed = [json.loads(line) for line in _operate(live, "late", "list", "tardy", "--json").splitlines()]
    assert [(one["id"], one["admitted"]) for one in listed] == [("t-2", ""), ("t-3", ""), ("t-4", "")]

    why = ("--workspace", "tardy", "--reason", "a gateway was down")
    admit = ("late", "admit", "t-2", *why)
    assert "nothing is billed yet" in _operate(live, *admit)
    assert "done: late_admitted, ledger record" in _operate(live, *admit, "--yes")
    live.eventually(charges, lambda rows: int(rows[0]["n"]) == 2)
    assert "was admitted before, by operator:" in _operate(live, *admit, "--yes", fails=True)
    assert "was admitted by operator:" in _operate(live, "explain", "tardy", "t-2")
    # One of its own, and one that joins it to the first: what the second cost is given back (C8).
    assert "net: charges USD 0.20" in _operate(live, "late", "admit", "t-3", *why, "--yes")
    joined = _operate(live, "late", "admit", "t-4", *why, "--yes")
    assert "net: gives back USD 0.20" in joined
    assert "grant:tardy/welcome: +0.20" in joined
    live.eventually(
        "SELECT sum(sign) AS n FROM ledger_charges WHERE workspace = 'tardy'", lambda r: int(r[0]["n"]) == 2
    )
    _operate(live, "reconcile", "--again-after", "20")


def _operate(live: Live, *arguments: str, fails: bool = False) -> str:
    done = CliRunner().invoke(app, arguments, env=live.environment)
    assert (done.exit_code != 0) is fails, done.output
    return str(done.exception) if fails else done.output


def _told(live: Live, *arguments: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(_operate(live, *arguments).splitlines()[-1])
    return told


def test_ctrl_c_stops_everything_and_the_next_start_goes_on(live: Live) -> None:
    """The last test of the module: it stops the stack."""
    family = [psutil.Process(live.process.pid), *psutil.Process(live.process.pid).children(recursive=True)]
    assert len(family) > 5
    os.kill(live.process.pid, signal.SIGINT)
    assert live.process.wait(240) == 0
    gone, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
    assert len(gone) == len(family)
    home = Path(live.environment["QUARTERHOUR_HOME"])
    assert Home(home).world("live").running() is None
    done = subprocess.run(
        [sys.executable, "-m", "scripts.cli", "units", "--by", "user", "--format", "csv"],
        env=live.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "acme,u1,1,1,1" in done.stdout.splitlines()
