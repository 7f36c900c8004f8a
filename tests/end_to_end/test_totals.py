"""The same events in any order, repeated, through any crash: the same totals, to the micro-dollar (U5, U7, L3)."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.replay.publisher import replay, sign_ups
from tests.end_to_end.logs import DAY, months_of_talk
from tests.end_to_end.pipeline import SETTINGS, Totals, log_of, pipeline, steps_of
from tests.metering.recount import Message as Counted
from tests.metering.recount import recount
from tests.servers import kafka_or_skip

pytestmark = pytest.mark.stack
SEED = 20240101
MESSAGES = months_of_talk(SEED)
PRICE_MICROS = 200_000


@pytest.fixture(scope="module", autouse=True)
def _kafka() -> None:
    kafka_or_skip()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Totals:
    """The totals of a replay in order, without repeats or crashes."""

    async def totals() -> Totals:
        async with pipeline(tmp_path_factory.mktemp("undisturbed")) as running:
            await replay(log_of(MESSAGES), running.settings, None)
            await running.drained()
            assert running.differences() == {}
            return running.totals()

    return asyncio.run(totals())


def test_the_undisturbed_totals_are_those_of_a_batch_recount(undisturbed: Totals) -> None:
    counts = recount(Counted(f"{m.workspace}/{m.user}", m.time_us) for m in MESSAGES)
    conversations = sum(n for (_, kind, _, _), n in counts.items() if kind == "conversation")
    sessions = sum(n for (_, kind, _, _), n in counts.items() if kind == "session")
    assert (undisturbed.conversations, undisturbed.sessions) == (conversations, sessions)
    assert undisturbed.charged_micros == conversations * PRICE_MICROS
    assert undisturbed.lapsed_micros > 0
    assert undisturbed.due_micros > 0


@pytest.mark.parametrize(("delay_us", "repeated_share"), [(DAY, 0.0), (DAY // 2, 0.1)])
async def test_u5_u7_shuffled_within_the_lateness_and_a_tenth_repeated_gives_the_same_totals(
    delay_us: int, repeated_share: float, undisturbed: Totals, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    log = log_of([replace(m, delay_us=chance.randrange(delay_us + 1)) for m in MESSAGES], "shuffled")
    records = steps_of(log)
    for index in sorted(chance.sample(range(len(records)), int(len(records) * repeated_share)), reverse=True):
        # A repeat soon after the first, so that it is within the lateness too; a tick again is harmless.
        records.insert(index + chance.randrange(1, 6), records[index])
    async with pipeline(tmp_path) as running:
        await running.publish(sign_ups(log_of(MESSAGES), SETTINGS) * 2)  # the same command twice is one command
        await running.publish(records)
        await running.drained()
        assert running.query("SELECT count() FROM late") == [(0,)]
        assert running.differences() == {}
        assert running.totals() == undisturbed


@pytest.mark.parametrize("victim", ["meter", "accounts", "loader", "kafka", "clickhouse"])
async def test_l3_killed_in_the_middle_of_a_replay_the_totals_are_the_same(
    victim: str, undisturbed: Totals, tmp_path: Path
) -> None:
    async with pipeline(tmp_path) as running:
        # As fast as needed for a replay of several seconds, so that the kills fall into it.
        span_seconds = 120 * 24 * 3600
        publishing = asyncio.create_task(replay(log_of(MESSAGES), running.settings, span_seconds / 6))
        for at_least in (len(MESSAGES) // 5, len(MESSAGES) // 2):
            await running.loaded(at_least)
            await running.killed(victim)
        await publishing
        await running.drained()
        assert running.restarts(victim) == 2
        assert running.differences() == {}
        assert running.totals() == undisturbed
