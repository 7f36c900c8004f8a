"""A rebuild through real Kafka while the stack runs: the same totals, and loading goes on (L5)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from projections.loader.kafka import KafkaSource
from projections.loader.rows import LOADED_TOPICS
from projections.rebuild import rebuild
from projections.rebuilding.readers import kafka_readers
from scripts.replay.publisher import replay
from scripts.together import answers
from streams.durable.machine import Output
from tests.end_to_end.logs import months_of_talk
from tests.end_to_end.pipeline import Pipeline, log_of, pipeline, steps_of
from tests.servers import kafka_or_skip

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module", autouse=True)
def _kafka() -> None:
    kafka_or_skip()


async def test_l5_rebuilt_under_a_running_loader_the_totals_are_the_same(tmp_path: Path) -> None:
    messages = months_of_talk(20260101, conversations=300)
    half = len(messages) // 2
    async with pipeline(tmp_path) as running:
        first, second = log_of(messages[:half], "first"), log_of(messages[half:], "second")
        await replay(first, running.settings, None)
        await running.drained()
        before = running.totals()
        readers = replace(kafka_readers(running.settings), least_records=1)
        async with KafkaSource(running.settings.kafka, LOADED_TOPICS) as source:
            done = await rebuild(running.settings.clickhouse_url, source, readers=readers)
        assert [str(c) for c in done.comparisons if not c.is_same] == []
        assert done.swapped
        assert running.totals() == before
        await replay(second, running.settings, None)
        await running.drained()
        assert running.differences() == {}
        assert running.query("SELECT count() FROM interactions")[0][0] > len(messages)
        await _published_again_no_query_changes(running, steps_of(first))


async def _published_again_no_query_changes(running: Pipeline, records: list[Output]) -> None:
    """U7, law 3: what is open is repeated, what is closed is late. `scripts.together` does it to whole logs."""
    before, set_aside = answers(running.client), _repeated_or_late(running)
    await running.publish(records)
    await running.drained()
    assert answers(running.client) == before
    assert running.differences() == {}
    assert _repeated_or_late(running) - set_aside == sum(record.key is not None for record in records)


def _repeated_or_late(running: Pipeline) -> int:
    told = running.query("SELECT sum(records) FROM outcomes WHERE outcome IN ('repeated', 'late')")
    return int(told[0][0])
