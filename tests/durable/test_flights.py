"""Several batches in flight keep the order of the protocol, wherever a send fails or the process dies (1, 2, 8)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.durable.changelog import POSITION_KEY, StateFold
from streams.durable.failpoints import STEPS, FailPoint
from streams.durable.flights import MOST_IN_FLIGHT
from tests.durable.fakes import CHANGELOG, OUTPUT, FakeWorld, SumMachine

RECORDS = 24
NUMBERS = [(n * 7) % 11 - 3 for n in range(RECORDS)]  # sums that come back to zero: keys end and begin again


@pytest.fixture
async def world() -> AsyncIterator[FakeWorld]:
    made = new_world()
    yield made
    await made.close()


def new_world(batch_records: int = 2) -> FakeWorld:
    world = FakeWorld()
    world.batch_records = batch_records
    world.publish(*NUMBERS)
    return world


def sums_after(records: int) -> dict[bytes, int]:
    """The state after so many records, by plain addition."""
    sums: dict[bytes, int] = {}
    for number in NUMBERS[:records]:
        key = b"ab"[number % 2 :][:1]
        sums[key] = sums.get(key, 0) + number
    return {key: value for key, value in sums.items() if value}


def outputs_after(records: int) -> list[bytes]:
    """What so many records put out, by plain addition."""
    found = []
    for offset, number in enumerate(NUMBERS[:records]):
        key = b"ab"[number % 2 :][:1]
        found.append(b"%d:%s=%d" % (offset, key, sums_after(offset + 1).get(key, 0)))
    return found


def recovered(world: FakeWorld) -> tuple[int, dict[bytes, int]]:
    """Position and state that the changelog holds."""
    fold, machine = StateFold(), SumMachine()
    for record in world.log.records(CHANGELOG):
        fold.record(record)
    fold.restore_into(machine)
    return fold.position or 0, {key: value for key, value in machine.sums.items() if value}


def held_in_order(world: FakeWorld) -> None:
    """What is durable obeys the laws, however far each step has come."""
    position, sums = recovered(world)
    outputs = list(dict.fromkeys(world.log.outputs()))
    assert sums == sums_after(position), "the state is that of its position"
    assert len(outputs) >= position, "outputs before state"
    assert outputs == outputs_after(len(outputs)), "no output overtook another"
    ahead: set[int] = set()
    for record in world.log.records(CHANGELOG):
        tag = record.value[:8] if record.value else record.headers[0][1]
        if record.key != POSITION_KEY:
            ahead.add(int.from_bytes(tag, "big"))
        elif ahead:
            assert ahead == {int.from_bytes(tag, "big")}, "no state before the position of the batch ahead"
            ahead.clear()


async def test_outputs_go_ahead_of_the_state_awaited_and_no_later_state_does(world: FakeWorld) -> None:
    actor = world.actor()
    world.run(actor)
    await world.settle()
    world.log.held_up, world.log.held_topic = asyncio.Event(), CHANGELOG
    await actor.feed(world.log.input())
    await world.settle()
    assert world.log.outputs() == outputs_after(2 * MOST_IN_FLIGHT), "as many batches as may be in flight"
    assert world.machines[0].seen == list(range(2 * MOST_IN_FLIGHT))
    assert (actor.position, recovered(world)) == (0, (0, {}))
    world.log.held_up.set()
    await world.settle()
    assert world.log.outputs() == outputs_after(RECORDS)
    assert (actor.position, recovered(world)) == (RECORDS, (RECORDS, sums_after(RECORDS)))
    assert actor.resumable


async def test_the_next_batch_is_worked_on_while_outputs_are_awaited_and_its_own_wait(world: FakeWorld) -> None:
    actor = world.actor()
    world.run(actor)
    await world.settle()
    world.log.held_up, world.log.held_topic = asyncio.Event(), OUTPUT
    await actor.feed(world.log.input())
    await world.settle()
    assert len(world.machines[0].seen) == 2 * MOST_IN_FLIGHT
    assert world.log.outputs() == []
    world.log.held_up.set()
    await world.settle()
    assert actor.position == RECORDS


async def test_little_that_waits_does_not_begin_before_the_batch_ahead_is_durable() -> None:
    world = new_world(batch_records=5)
    actor = world.actor()
    world.run(actor)
    await world.settle()
    world.log.held_up = asyncio.Event()
    await actor.feed(world.log.input(0, 3))
    await world.settle()
    await actor.feed(world.log.input(3, 6))
    await world.settle()
    assert world.machines[0].seen == [0, 1, 2]
    await actor.feed(world.log.input(6, 8))
    await world.settle()
    assert world.machines[0].seen == list(range(8)), "a full batch does"
    world.log.held_up.set()
    await world.settle()
    assert actor.position == 8
    await world.close()


async def test_a_stop_lets_all_in_flight_become_durable(world: FakeWorld) -> None:
    actor, task, let_go = await world.in_flight()
    actor.stop()
    await world.settle()
    assert not task.done()
    let_go.set()
    await task
    assert actor.resumable
    assert recovered(world) == (2 * MOST_IN_FLIGHT, sums_after(2 * MOST_IN_FLIGHT))


async def test_a_cancelled_actor_sends_no_more_and_is_not_resumable(world: FakeWorld) -> None:
    actor, task, let_go = await world.in_flight()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    let_go.set()
    await world.settle()
    assert (world.log.outputs(), actor.resumable) == ([], False)


@settings(max_examples=150, deadline=None)
@given(refused=st.integers(0, 40), seed=st.integers(0, 2**16), batch=st.integers(1, 5), run=st.integers(1, RECORDS))
def test_whichever_send_is_refused_no_later_state_is_durable_and_the_next_run_completes_all(
    refused: int, seed: int, batch: int, run: int
) -> None:
    async def trial() -> None:
        world = new_world(batch)
        world.log.turns = random.Random(seed)
        world.log.refuse_send = refused
        task = world.run(world.actor())
        await feed(world, task, run)
        refusal = task.done()
        if refusal:
            assert isinstance(task.exception(), TimeoutError)
        sent = len(world.log.records(CHANGELOG)), len(world.log.outputs())
        await world.settle()
        if refusal:
            assert sent == (len(world.log.records(CHANGELOG)), len(world.log.outputs())), "nothing goes on after it"
        held_in_order(world)
        await complete(world, run)

    asyncio.run(trial())


async def feed(world: FakeWorld, task: asyncio.Task[None], run: int) -> None:
    """Feed everything in runs to the newest actor, as long as it lives."""
    await world.settle()
    for first in range(0, RECORDS, run):
        if not task.done():
            await world.actors[-1].feed(world.log.input(first, first + run))
            await asyncio.sleep(0)
    for _ in range(5):
        await world.settle()


async def complete(world: FakeWorld, run: int) -> None:
    """Another process goes on: in the end all is there once, but for repeats to the letter."""
    await world.close()
    world.log.dead, world.log.refuse_send = False, -1
    world.fail_point = FailPoint("")
    task = world.run(world.actor(2))
    await feed(world, task, run)
    assert list(dict.fromkeys(world.log.outputs())) == outputs_after(RECORDS)
    assert recovered(world) == (RECORDS, sums_after(RECORDS))
    await world.close()


class Death(FailPoint):
    """A fail-point that kills the log's client instead of the process; remembers how many batches were in flight."""

    def __init__(self, spec: str, world: FakeWorld) -> None:
        super().__init__(spec)
        self._world = world
        self.in_flight = 0

    def die(self, step: str, in_flight: int) -> None:
        self.in_flight = in_flight
        self._world.log.dead = True


@pytest.mark.parametrize("step", STEPS[:3])
@pytest.mark.parametrize("nth", [1, 2, 3, 5, 8, 12])
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_killed_after_any_step_with_several_in_flight_the_recovered_state_and_outputs_are_the_oracles(
    step: str, nth: int, seed: int
) -> None:
    world = new_world()
    world.log.turns = random.Random(seed)
    death = world.fail_point = Death(f"{step}:{nth}", world)
    task = world.run(world.actor())
    await feed(world, task, RECORDS)
    assert world.log.dead
    assert death.in_flight > 1 or nth == 12, "the last batch is alone"
    held_in_order(world)
    await complete(world, RECORDS)
