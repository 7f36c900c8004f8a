"""One partition's actor: nothing lost, nothing twice, and a loud stop where the broker explains nothing (law 8)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from streams.durable import actor as actor_module
from streams.durable.actor import ConsumerDeaf, PartitionActor, PositionError
from streams.durable.changelog import StateFold, position_output, state_outputs
from streams.durable.flights import MOST_IN_FLIGHT
from streams.durable.machine import RawRecord
from streams.durable.reader import RecordsGone
from tests.durable.fakes import CHANGELOG, OUTPUT, TOPIC, FakeWorld

EXPECTED = [b"0:b=1", b"1:a=2", b"2:b=4", b"3:a=6", b"4:b=9", b"5:a=12"]


@pytest.fixture
async def world() -> AsyncIterator[FakeWorld]:
    made = FakeWorld()
    made.publish(1, 2, 3, 4, 5, 6)
    yield made
    await made.close()


async def started(world: FakeWorld, generation: int = 1) -> PartitionActor:
    actor = world.actor(generation)
    world.run(actor)
    await world.settle()
    return actor


async def test_outputs_then_state_then_position_become_durable_in_this_order(world: FakeWorld) -> None:
    actor = await started(world)
    order: list[str] = []
    append = world.log.append

    def noting(topic: str, key: bytes | None, *rest: object, **options: object) -> int:
        order.append(topic if topic == OUTPUT else str(key))
        return append(topic, key, *rest, **options)  # type: ignore[arg-type]

    world.log.append = noting  # type: ignore[method-assign]
    await actor.feed(world.log.input(0, 2))
    await world.settle()
    assert order == [OUTPUT, OUTPUT, "b'sb'", "b'sa'", "b'p'"]
    assert actor.position == 2


async def test_repeats_are_dropped_however_they_are_cut(world: FakeWorld) -> None:
    actor = await started(world)
    for start, end in ((0, 3), (0, 3), (1, 4), (2, 2), (3, 6), (0, 6)):
        await actor.feed(world.log.input(start, end))
        await world.settle()
    assert world.log.outputs() == EXPECTED
    assert (actor.position, actor.gaps_filled) == (6, 0)


async def test_a_gap_is_filled_by_reading_from_the_broker(world: FakeWorld) -> None:
    actor = await started(world)
    await actor.feed(world.log.input(0, 1))
    await actor.feed(world.log.input(4, 6))
    await world.settle()
    assert world.log.outputs() == EXPECTED
    assert (actor.position, actor.gaps_filled) == (6, 1)


async def test_a_gap_between_two_runs_that_wait_together_is_filled_as_well(world: FakeWorld) -> None:
    actor = world.actor()
    await actor.feed(world.log.input(1, 2))
    await actor.feed(world.log.input(3, 4))
    world.run(actor)
    await world.settle()
    assert world.log.outputs() == EXPECTED[:4]


async def test_what_the_consumer_never_delivers_is_read_once_the_log_is_seen_ahead_twice(world: FakeWorld) -> None:
    actor = await started(world)
    await actor.feed(world.log.input(0, 2))
    await world.settle()
    actor.note_end(6)
    await world.settle()
    assert actor.position == 2, "it may be on its way"
    actor.note_end(6)
    await world.settle()
    assert world.log.outputs() == EXPECTED
    assert actor.position == 6


async def test_a_consumer_that_delivers_nothing_any_more_ends_the_process(world: FakeWorld) -> None:
    actor = world.actor()
    task = world.run(actor)
    await world.settle()
    for number in range(actor_module.MAX_DEAF_READS + 1):
        world.publish(number)
        end = len(world.log.records(TOPIC))
        for _ in range(2):
            actor.note_end(end)
            await world.settle()
    with pytest.raises(ConsumerDeaf):
        await task


async def test_markers_of_transactions_are_passed_without_a_reader_for_each_record() -> None:
    world = FakeWorld()
    world.publish(*range(200), gap=1)
    actor = world.actor()
    for record in world.log.input():  # one at a time, as the stock transport delivers them
        await actor.feed([record])
    world.run(actor)
    await world.settle()
    assert len(world.log.outputs()) == 200
    assert actor.position == world.log.records(TOPIC)[-1].offset + 1
    assert actor.gaps_filled == 0, "nothing was missing"
    assert world.log.readers == 2, "one to recover, one to look"
    await world.close()


async def test_markers_behind_the_last_record_are_passed_durably() -> None:
    world = FakeWorld()
    world.publish(1)
    world.log.end = 3
    actor = await started(world)
    await actor.feed(world.log.input())
    for _ in range(2):
        await world.settle()
        actor.note_end(3)
    await world.settle()
    assert actor.position == 3
    world.committed = 3
    assert (await started(world, 2)).position == 3, "a restart is not told of a commit beyond the state"
    await world.close()


async def test_a_position_is_not_shown_before_it_is_durable(world: FakeWorld) -> None:
    # What is shown is committed: a commit beyond the durable position would refuse the next start.
    actor = await started(world)
    await actor.feed(world.log.input(0, 1))
    await world.settle()
    world.log.held_up = asyncio.Event()
    await actor.feed(world.log.input(3, 6))
    await world.settle()
    assert actor.position == 1
    world.log.held_up.set()
    await world.settle()
    assert actor.position == 6


async def test_a_restart_goes_on_at_the_position_held_and_not_at_the_committed_offset(world: FakeWorld) -> None:
    first = await started(world)
    await first.feed(world.log.input(0, 4))
    await world.settle()
    world.committed = 2
    second = await started(world, 2)
    await second.feed(world.log.input(2, 6))
    await world.settle()
    assert world.log.outputs() == EXPECTED
    assert world.machines[-1].seen == [4, 5]


async def test_a_group_whose_committed_offsets_were_lost_goes_on_at_the_position_held(world: FakeWorld) -> None:
    first = await started(world)
    await first.feed(world.log.input(0, 4))
    await world.settle()
    world.committed = None
    second = await started(world, 2)
    await second.feed(world.log.input(0, 6))  # the consumer starts from the first record
    await world.settle()
    assert world.log.outputs() == EXPECTED


@pytest.mark.parametrize("topic", [OUTPUT, CHANGELOG])
async def test_what_the_broker_refuses_ends_the_run_and_the_next_one_repeats_it_alike(
    world: FakeWorld, topic: str
) -> None:
    actor = world.actor()
    task = world.run(actor)
    await world.settle()
    world.log.refuse = topic
    await actor.feed(world.log.input())
    with pytest.raises(TimeoutError, match="refused"):
        await task
    assert not actor.resumable
    assert actor.position == 0
    world.log.refuse = ""
    second = await started(world, 2)
    await second.feed(world.log.input())
    await world.settle()
    assert world.log.outputs() == EXPECTED * (1 if topic == OUTPUT else 2)


async def test_committed_beyond_the_state_stops_loudly(world: FakeWorld) -> None:
    first = await started(world)
    await first.feed(world.log.input(0, 4))
    await world.settle()
    world.committed = 5
    with pytest.raises(PositionError, match=r"position is 4, the committed offset 5.*missing"):
        await world.actor(2).run()


async def test_a_committed_offset_without_any_state_stops_loudly(world: FakeWorld) -> None:
    world.committed = 3
    with pytest.raises(PositionError, match="offset 3 is committed, but state holds no state"):
        await world.actor().run()


async def test_a_position_beyond_the_logs_end_stops_loudly(world: FakeWorld) -> None:
    world.log.topics[CHANGELOG] = []
    mark = position_output(CHANGELOG, 0, 9, b"")
    world.log.append(CHANGELOG, mark.key, mark.value)
    with pytest.raises(PositionError, match=r"position is 9.*log's end 6"):
        await world.actor().run()


async def test_a_log_that_begins_behind_the_position_stops_loudly(world: FakeWorld) -> None:
    first = await started(world)
    await first.feed(world.log.input(0, 2))
    await world.settle()
    world.log.first = 2
    assert (await started(world, 2)).position == 2, "what was processed may go"
    world.log.first = 3
    with pytest.raises(PositionError, match="position is 2, but the log begins at 3"):
        await world.actor(3).run()


async def test_records_that_go_while_it_runs_stop_it_loudly(world: FakeWorld) -> None:
    actor = world.actor()
    task = world.run(actor)
    await world.settle()
    world.log.first = 3
    await actor.feed(world.log.input(3, 6))
    with pytest.raises(RecordsGone):
        await task


async def test_a_first_start_behind_the_logs_beginning_makes_that_position_durable(world: FakeWorld) -> None:
    world.log.first = 4
    actor = await started(world)
    assert actor.position == 4
    world.committed = 4  # as the worker commits what is shown
    assert (await started(world, 2)).position == 4


async def test_a_worker_that_is_no_longer_current_touches_nothing(world: FakeWorld) -> None:
    actor = world.actor()
    task = world.run(actor)
    await world.settle()
    world.current = False
    await actor.feed(world.log.input())
    await task
    assert world.log.outputs() == []


async def test_state_is_kept_into_the_directly_following_generation_only(world: FakeWorld) -> None:
    actor = world.actor(5)
    task = world.run(actor)
    await world.settle()
    await actor.feed(world.log.input(0, 2))
    await world.settle()
    actor.stop()
    await task
    assert actor.resumable
    with pytest.raises(AssertionError, match="somebody else may have written"):
        actor.renew(7)
    actor.renew(6)
    world.run(actor)
    await actor.feed(world.log.input(0, 6))
    await world.settle()
    assert world.log.outputs() == EXPECTED
    assert (world.recoveries, len(world.machines)) == (1, 1)


async def test_state_kept_is_the_state_a_recovery_would_read(world: FakeWorld) -> None:
    actor = world.actor()
    task = world.run(actor)
    await actor.feed(world.log.input(0, 5))
    await world.settle()
    actor.stop()
    await task
    fold = StateFold()
    for record in world.log.records(CHANGELOG):
        fold.record(record)
    other = FakeWorld().context().new_machine(0)
    fold.restore_into(other)
    assert actor.resumable
    assert fold.position == actor.position
    assert other.sums == world.machines[0].sums  # type: ignore[attr-defined]


async def test_an_actor_cancelled_within_a_batch_is_not_resumable(world: FakeWorld) -> None:
    actor, task, _ = await world.in_flight()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not actor.resumable, "its machine is ahead of what is durable"


async def test_whoever_feeds_a_full_actor_is_let_go_when_it_stops(world: FakeWorld) -> None:
    actor = world.actor()
    task = world.run(actor)
    await world.settle()
    world.log.held_up = asyncio.Event()
    most = actor_module.MAX_BACKLOG + MOST_IN_FLIGHT * actor_module.MAX_BATCH
    many = [RawRecord(offset, 0, b"a", b"1") for offset in range(most + 2)]
    feeding = asyncio.create_task(actor.feed(many))
    await world.settle()
    assert not feeding.done()
    actor.stop()
    task.cancel()
    await asyncio.wait_for(feeding, 30)


async def test_a_backlog_is_bounded_in_bytes_as_well(world: FakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actor_module, "MAX_BACKLOG_BYTES", 100)
    actor = await started(world)
    world.log.held_up = asyncio.Event()
    await actor.feed([RawRecord(0, 0, b"a", b"1")])
    await world.settle()
    for offset in range(1, MOST_IN_FLIGHT):  # what fills the backlog goes on its way
        await asyncio.wait_for(actor.feed([RawRecord(offset, 0, b"a", b"1" * 200)]), 30)
    feeding = asyncio.create_task(actor.feed([RawRecord(MOST_IN_FLIGHT, 0, b"a", b"1" * 200)]))
    await world.settle()
    assert not feeding.done()
    world.log.held_up.set()
    await asyncio.wait_for(feeding, 30)


async def test_a_recovery_holds_up_nobody_and_what_did_not_fit_is_read_by_position(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actor_module, "MAX_BACKLOG", 2)
    actor = world.actor()
    for record in world.log.input():
        await asyncio.wait_for(actor.feed([record]), 30)
    world.run(actor)
    await world.settle()
    for _ in range(2):
        actor.note_end(6)
        await world.settle()
    assert world.log.outputs() == EXPECTED


async def test_a_recovery_writes_again_what_a_stale_record_overtook(world: FakeWorld) -> None:
    for output in (
        *state_outputs(CHANGELOG, 0, 4, [(b"a", b"6"), (b"b", b"4")]),
        position_output(CHANGELOG, 0, 4, b""),
        *state_outputs(CHANGELOG, 0, 2, [(b"a", b"2")]),
        position_output(CHANGELOG, 0, 2, b""),
    ):
        world.log.append(CHANGELOG, output.key, output.value, output.headers)
    actor = await started(world)
    assert actor.position == 4
    assert world.log.records(CHANGELOG)[-1].key == b"p"
    assert (await started(world, 2)).position == 4
