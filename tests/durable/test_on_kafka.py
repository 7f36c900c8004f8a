"""METER's worker processes on a real Apache Kafka: killed, paused, fed oddly; everything is counted again afterwards.

Each trial ends with `judge`: the batch recount, an undisturbed run over the same input (same origin, same content), and
the outcomes (laws 2, 3 and 7).
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
from itertools import chain, repeat

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from confluent_kafka.admin import AdminClient

from schemas.topics import INTERACTIONS, METER_CHANGELOG
from scripts.soaking.crew import Crew, Worker
from scripts.soaking.disturbance import Disturbance
from scripts.soaking.trial import Trial
from streams.durable.failpoints import STEPS
from streams.durable.machine import Output
from streams.durable.worker import EXIT_CRASHED
from streams.workers.meter import GROUP
from tests.durable.conftest import PARTITIONS, SESSION_SECONDS, NewTrial

pytestmark = pytest.mark.stack
both_transports = pytest.mark.parametrize("transport", ["batch", "stock"])


async def kept_going(crew: Crew) -> None:
    """Start a worker again whenever one ended by an error of its own, as the supervisor does."""
    replaced = 0
    while True:
        if len(crew.crashes()) > replaced:
            replaced += 1
            crew.join()
        await asyncio.sleep(0.2)


@pytest.mark.parametrize(("transport", "steps"), [("batch", STEPS), ("stock", ("outputs", "position"))])
async def test_killed_after_each_step_of_the_protocol_the_totals_are_exact(
    new_trial: NewTrial, transport: str, steps: tuple[str, ...]
) -> None:
    async with new_trial(transport) as trial:
        await trial.publish(3_000)
        stop = asyncio.Event()
        loading = asyncio.create_task(trial.publish_steadily(500, 240, stop))
        several = 0
        # How many wait at once depends on how fast the broker answers; each record a run of its own is slower still.
        further = repeat("outputs", 8 if transport == "batch" else 0)
        for number, step in enumerate(chain(steps, further)):
            if number >= len(steps) and several:
                break
            dying = trial.crew.join(QUARTERHOUR_FAIL_POINT=f"{step}:3")
            assert await dying.ended() == -signal.SIGKILL, f"{step}: {dying.said()[-2000:]}"
            several += re.search(r"with [23] batches in flight", dying.said()) is not None
        stop.set()
        await loading
        trial.crew.join()
        verdict = await trial.finish()
        assert verdict.faults(trial.load.repeats) == []
        assert several > 0 or transport == "stock", "several at a time"
        assert verdict.outputs_repeated > 0, "what was put out before state and position was put out again, alike"
        assert await trial.crew.leave() == [0]


async def test_a_broker_killed_with_sends_in_flight_and_gone_for_ten_seconds_costs_nothing(new_trial: NewTrial) -> None:
    async with new_trial() as trial:
        workers = [trial.crew.join(), trial.crew.join()]
        for worker in workers:
            await worker.says("state kept for")
        keeping = asyncio.create_task(kept_going(trial.crew))
        loading = asyncio.create_task(trial.publish_steadily(1_000, 14))
        await asyncio.sleep(2)
        trial.broker.kill()
        await asyncio.sleep(10.5)
        await trial.broker.start()
        await loading
        verdict = await trial.finish()
        keeping.cancel()
        assert verdict.faults(trial.load.repeats) == []


async def test_a_worker_that_joins_while_the_broker_is_away_is_assigned_its_partitions_soon_after(
    new_trial: NewTrial,
) -> None:
    """It asked in vain which partitions there are, and leads the group: it would have assigned none for 5 minutes."""
    async with new_trial() as trial:
        await trial.publish(100)
        worker = trial.crew.join()
        await worker.says("LeaderAssignor]: Starting")  # it has a client of the broker, and subscribes in a second
        trial.broker.kill()
        await worker.says("Subscribed to topic(s)")
        await worker.says("Unable to update metadata")
        await trial.broker.start()
        await worker.says("starting at offset", times=PARTITIONS)
        await trial.drained()
        assert trial.crew.crashes() == []


async def test_a_worker_paused_past_its_session_wakes_as_a_zombie_and_changes_nothing(new_trial: NewTrial) -> None:
    async with new_trial() as trial:
        sleeper = trial.crew.join()
        await sleeper.says("starting at offset", times=PARTITIONS)
        loading = asyncio.create_task(trial.publish_steadily(1_000, 4 * SESSION_SECONDS))
        await asyncio.sleep(1)
        sleeper.send(signal.SIGSTOP)
        other = trial.crew.join()
        await asyncio.sleep(2 * SESSION_SECONDS)
        await other.says("resuming at", times=PARTITIONS)
        asleep = sleeper.said()
        sleeper.send(signal.SIGCONT)
        await sleeper.says("state kept for", times=asleep.count("state kept for") + 1)
        await loading
        verdict = await trial.finish()
        assert verdict.faults(trial.load.repeats) == []
        assert trial.crew.crashes() == [], "it finds out and rejoins"
        woken = sleeper.said()[len(asleep) :]
        assert re.findall(r"state kept for \[(.*?)\]", woken)[0] == "", "others may have written meanwhile"


async def test_a_worker_with_a_stable_name_that_comes_back_in_time_moves_no_partition(new_trial: NewTrial) -> None:
    """As in an upgrade: stopped in order, started again, and the group never assigns anew (static membership)."""
    async with new_trial() as trial:

        def joined(name: str) -> Worker:
            return trial.crew.join(QUARTERHOUR_GROUP_INSTANCE_ID=name, QUARTERHOUR_SESSION_TIMEOUT_SECONDS="60")

        async def owns_one(worker: Worker) -> None:
            async with asyncio.timeout(120):
                while not re.search(r"assigned \[\d\],", worker.said()):  # noqa: ASYNC110 - another process's log
                    await asyncio.sleep(0.05)

        going, staying = joined("meter-0"), joined("meter-1")
        await asyncio.gather(owns_one(going), owns_one(staying))
        generations = trial.crew.generations()
        going.send(signal.SIGTERM)
        assert await going.ended() == 0
        await trial.publish(1_000)
        await owns_one(joined("meter-0"))
        await trial.drained()
        assert trial.crew.generations() == generations, "nobody was assigned anew"
        assert trial.crew.crashes() == []


async def test_workers_that_join_leave_die_and_sleep_under_load_count_exactly(new_trial: NewTrial) -> None:
    seed = 20_261_122
    print(f"seed {seed}")
    async with new_trial(seed=seed) as trial:
        disturbance = Disturbance(trial.crew, seed, SESSION_SECONDS, mean_seconds=3)
        crew, stop = trial.crew, asyncio.Event()

        def seen() -> bool:
            """Of each kind of change there was one; a slow machine takes longer to it."""
            some = crew.most_in_flight() > 1 and crew.states_kept() > 0 and crew.recoveries() > 0
            return some and len(crew.generations()) >= 6

        async def disturbed() -> None:
            await disturbance.go_on_for(28, seen)
            stop.set()

        async with asyncio.TaskGroup() as together:
            together.create_task(trial.publish_steadily(800, 240, stop))
            together.create_task(disturbed())
        if not trial.crew.running():
            trial.crew.join()
        verdict = await trial.finish()
        assert verdict.faults(trial.load.repeats) == []
        assert trial.crew.crashes() == []
        assert seen()


async def test_a_rolling_restart_of_all_workers_under_load_counts_exactly_and_each_leaves_in_order(
    new_trial: NewTrial,
) -> None:
    async with new_trial() as trial:
        for _ in range(PARTITIONS):
            trial.crew.join()
        stop = asyncio.Event()
        loading = asyncio.create_task(trial.publish_steadily(1_000, 240, stop))
        for old in list(trial.crew.workers):
            await old.says("state kept for")
            new = trial.crew.join()
            await new.says("state kept for")
            old.send(signal.SIGTERM)
            assert await old.ended() == 0, old.said()[-2000:]
        stop.set()
        await loading
        verdict = await trial.finish()
        assert verdict.faults(trial.load.repeats) == []
        assert trial.crew.recoveries() > 0
        assert trial.crew.crashes() == []


@both_transports
async def test_bad_records_first_and_last_and_one_of_a_megabyte_are_set_aside_and_all_else_counts(
    new_trial: NewTrial, transport: str
) -> None:
    async with new_trial(transport, users=20) as trial:
        large = json.dumps({"padding": "x" * 1_000_000}).encode()
        for partition in range(PARTITIONS):
            await trial.send([Output(INTERACTIONS, partition, None, b"poison")])
        await trial.publish(500)
        await trial.send([Output(INTERACTIONS, 0, b"k", large), Output(INTERACTIONS, 0, None, None)])
        await trial.publish(500)
        worker = trial.crew.join()
        await trial.drained()
        await trial.send([Output(INTERACTIONS, partition, None, b"\xff") for partition in range(PARTITIONS)])
        await trial.drained()
        verdict = await trial.finish()
        assert verdict.faults(trial.load.repeats) == []
        assert verdict.outcomes["rejected"] == 2 * PARTITIONS + 2
        assert worker.running


@both_transports
async def test_a_transactional_publisher_is_metered_without_its_aborted_records_and_without_a_stop(
    new_trial: NewTrial, transport: str
) -> None:
    async with new_trial(transport, users=20) as trial:
        worker = trial.crew.join()
        await publish_in_transactions(trial, 10)
        await trial.drained()  # the last offset is a marker: the position passes it, durably
        worker.kill()
        await publish_in_transactions(trial, 10)
        again = trial.crew.join()
        await trial.drained()
        verdict = await trial.finish()
        assert verdict.faults() == []
        assert verdict.events == len(trial.load.sent)
        assert verdict.input_records == trial.published
        assert again.running


async def publish_in_transactions(trial: Trial, count: int) -> None:
    """Each record in a transaction of its own, and as many others that are aborted."""
    producer = AIOKafkaProducer(
        bootstrap_servers=trial.settings.kafka_bootstrap_servers, transactional_id="gateway", linger_ms=0
    )
    await producer.start()
    aborted = trial.load.final_ticks()[0].value
    try:
        for output in (next(trial._records) for _ in range(count)):
            async with producer.transaction():
                await producer.send_and_wait(output.topic, output.value, output.key, output.partition)
            trial.published += 1
            await producer.begin_transaction()
            await producer.send_and_wait(output.topic, aborted, None, output.partition)
            await producer.abort_transaction()
    finally:
        await producer.stop()


async def test_lost_commits_are_made_good_a_fresh_worker_reads_all_state_and_a_lost_changelog_stops_it(
    new_trial: NewTrial,
) -> None:
    async with new_trial() as trial:
        first = trial.crew.join()
        await trial.publish(4_000)
        await trial.drained()
        assert await trial.crew.leave() == [0]
        assert "starting at offset 0" in first.said()

        admin = AdminClient({"bootstrap.servers": trial.settings.kafka_bootstrap_servers})
        for future in admin.delete_consumer_groups([GROUP]).values():
            future.result(60)
        second = trial.crew.join()
        await trial.publish(1_000)
        await trial.drained()
        assert "resuming at" in second.said()
        hasty = trial.crew.join()
        await hasty.says("Executing _on_partitions_assigned")
        hasty.send(signal.SIGTERM)  # in the middle of a recovery
        assert await hasty.ended() == 0
        verdict = await trial.finish()
        assert verdict.faults(trial.load.repeats) == []
        assert verdict.outputs_repeated == 0, "the position counts, not the committed offset"
        assert await trial.crew.leave() == [0]

        await recreate(trial, METER_CHANGELOG)
        third = trial.crew.join()
        assert await third.ended() == EXIT_CRASHED
        assert f"committed, but {METER_CHANGELOG} holds no state for it; restore" in third.said()


async def recreate(trial: Trial, topic: str) -> None:
    """Delete a topic and make it again, empty."""
    admin = AIOKafkaAdminClient(bootstrap_servers=trial.settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        response = await admin.delete_topics([topic])
        for _, code in response.topic_error_codes:
            assert for_code(code).__name__ == "NoError"
    finally:
        await admin.close()
    await trial.broker.create_topics(trial.settings)
