"""The replay's schedule: arrival order, ticks in event time, steps that name themselves; and reading logs."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path

import pytest

from schemas.interactions import TICK, decode
from schemas.routing import partition_of
from scripts.replay.schedule import TICK_INTERVAL_US, schedule
from scripts.replay.source import BadLog, EventLog, Message, read_log

HOUR = 3_600_000_000
DAY = 24 * HOUR
START = 1_704_067_200_000_000


def log(*messages: Message) -> EventLog:
    return EventLog("test", "0" * 64, "assistant", "chat", messages)


def message(line: int, hours: float, delay_hours: float = 0, user: str = "u") -> Message:
    return Message(line, "acme", user, START + int(hours * HOUR), 5, int(delay_hours * HOUR))


def test_events_are_published_in_the_order_of_arrival_with_their_own_time() -> None:
    steps = list(schedule(log(message(1, 0, 3), message(2, 1), message(3, 2)), 1, DAY))
    events = [json.loads(step.value) for step in steps if step.is_event]
    assert [event["id"] for event in events] == ["2", "3", "1"]
    assert events[2]["time"] == "2024-01-01T00:00:00.000000Z"


def test_every_step_is_valid_numbered_and_in_the_partition_of_its_key() -> None:
    steps = list(schedule(log(*(message(n, n, user=f"u{n}") for n in range(1, 60))), 4, DAY))
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    for step in steps:
        decode(step.value)
        if step.key is not None:
            assert step.partition == partition_of(step.key.decode(), 4)


def test_each_partition_hears_of_the_time_at_least_every_six_hours_and_at_the_end() -> None:
    steps = list(schedule(log(*(message(n, n) for n in range(1, 49))), 4, DAY))
    for partition in range(4):
        ticks = [decode(s.value).time_us for s in steps if s.partition == partition and not s.is_event]
        assert max(b - a for a, b in pairwise(ticks)) <= TICK_INTERVAL_US
        assert ticks[-1] == START + 48 * HOUR


def test_u6_before_an_event_older_than_the_lateness_its_partition_hears_the_highest_time() -> None:
    steps = list(schedule(log(message(1, 0, 26), message(2, 25, 0, "other")), 8, DAY))
    late = next(index for index, step in enumerate(steps) if step.is_event and json.loads(step.value)["id"] == "1")
    heard = [decode(s.value).time_us for s in steps[:late] if s.partition == steps[late].partition]
    assert max(heard) == START + 25 * HOUR


def test_a_schedule_is_a_function_of_the_log() -> None:
    given = log(*(message(n, n * 7 % 50, n % 5, f"u{n % 7}") for n in range(1, 80)))
    assert list(schedule(given, 4, DAY)) == list(schedule(given, 4, DAY))


def test_ticks_are_nobodys_activity() -> None:
    ticks = [s for s in schedule(log(message(1, 0)), 2, DAY) if not s.is_event]
    assert {decode(tick.value).type for tick in ticks} == {TICK}
    assert {tick.key for tick in ticks} == {None}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("workspace,user,time_us\na,,5\n", "line 2: column user is missing"),
        ("workspace,time_us\na,5\n", "line 2: column user is missing"),
        ("workspace,user,time_us\na,u,5\na,u,x\n", "line 3: time_us must be a whole number, found 'x'"),
        ("workspace,user,time_us,delay_us\na,u,5,-1\n", "line 2: delay_us must not be negative, found -1"),
    ],
)
def test_a_bad_line_is_named_with_its_column_and_value(content: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text(content)
    with pytest.raises(BadLog, match=said):
        read_log(file)


def test_a_log_is_known_by_its_content_packed_or_not(tmp_path: Path) -> None:
    text = "workspace,user,time_us,chars,delay_us\na,u,1704067200000000,7,9\n"
    (tmp_path / "log.csv").write_text(text)
    with gzip.open(tmp_path / "log.csv.gz", "wt") as file:
        file.write(text)
    plain, packed = read_log(tmp_path / "log.csv"), read_log(tmp_path / "log.csv.gz")
    assert plain == packed
    assert plain.messages == (Message(1, "a", "u", 1_704_067_200_000_000, 7, 9),)


def test_a_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "log.csv.gz"
    file.write_bytes(b"not gzip")
    with pytest.raises(BadLog, match="cannot be read"):
        read_log(file)
