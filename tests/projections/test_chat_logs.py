"""Two real logs: the SQL recount alone reaches their reference counts, and the usage tables have their very form."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from projections.reconcile import reconcile, recount
from projections.usage import DayUsage, UserUsage, units_by_day, units_by_user, write_csv

_AS_UNIT_EVENTS = """
INSERT INTO unit_events (
    kafka_partition, kafka_offset, kafka_append, origin_topic, origin_offset, unit_id, kind, change, revision,
    workspace, app, channel, user, environment, start, billable, delta, billable_delta)
SELECT 0, rowNumberInAllBlocks() AS place, now64(3), 'interactions', place, toString(place), kind, 'opened', 1,
    workspace, app, channel, user, environment, fromUnixTimestamp64Micro(start_us, 'UTC'), billable, 1, billable
FROM recounted
SETTINGS max_partitions_per_insert_block = 0, max_insert_threads = 1
"""


def insert_log(client: Client, path: Path) -> None:
    """Every line is a message of its own, also where user and instant repeat; in the order of their times."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    lines.sort(key=lambda line: int(line["time_us"]))
    count = len(lines)
    times = [int(line["time_us"]) for line in lines]
    columns: dict[str, list[object]] = {
        "kafka_partition": [0] * count,
        "kafka_offset": list(range(count)),
        "kafka_append": [time_us // 1000 for time_us in times],
        "routed": [1] * count,
        "type": ["quarterhour.message.v1"] * count,
        "source": [path.stem] * count,
        "id": [str(place) for place in range(count)],
        "time": list(times),
        "workspace": [line["workspace"] for line in lines],
        "app": ["bot"] * count,
        "channel": ["irc"] * count,
        "user": [line["user"] for line in lines],
        "direction": ["inbound"] * count,
        "actor": ["app"] * count,
        "environment": ["live"] * count,
        "chars": [int(line["chars"]) for line in lines],
    }
    client.insert(
        "interactions",
        list(columns.values()),
        column_names=list(columns),
        column_oriented=True,
        settings={"max_partitions_per_insert_block": 0},
    )


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "conversations", "sessions"), [("irc-projects", 1_926, 2_595), ("ubuntu-irc", 30_822, 40_959)]
)
def test_the_recount_reaches_the_reference_counts(
    client: Client, chat_logs: Path, tmp_path: Path, name: str, conversations: int, sessions: int
) -> None:
    """U1, U2, U5, by user and by day."""
    insert_log(client, chat_logs / f"{name}.csv.gz")
    with recount(client) as session:
        kinds = client.query("SELECT kind, count() FROM recounted GROUP BY kind", settings=session).result_rows
        client.command(_AS_UNIT_EVENTS, settings=session)
    assert dict(kinds) == {"conversation": conversations, "session": sessions}
    with (tmp_path / "by_user.csv").open("w", newline="") as file:
        write_csv(file, UserUsage, units_by_user(client))
    with (tmp_path / "by_day.csv").open("w", newline="") as file:
        write_csv(file, DayUsage, units_by_day(client))
    for form in ("by_user", "by_day"):
        expected = gzip.decompress((chat_logs / f"{name}.expected_{form}.csv.gz").read_bytes()).decode()
        assert (tmp_path / f"{form}.csv").read_text() == expected.replace("\r\n", "\n")
    assert set(reconcile(client).counts) == {"charges", "charged micros", "grants"}  # no ledger here
