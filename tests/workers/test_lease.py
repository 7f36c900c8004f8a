"""The lease against a coordinator in memory: only its present owner may publish, and never an instant twice."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.errors import CommitFailedError

from streams.workers.lease import Lease


class Coordinator:
    """What the group has committed, and who owns the partition now."""

    def __init__(self) -> None:
        self.committed: int | None = None
        self.owner: Lease | None = None


class Member:
    """One member's view of it, in the place of a consumer."""

    def __init__(self, coordinator: Coordinator, lease: Lease) -> None:
        self._coordinator, self._lease = coordinator, lease

    def pause(self, *_: Any) -> None:
        """Nothing is fetched here."""

    async def committed(self, _: Any) -> int | None:
        return self._coordinator.committed

    async def commit(self, offsets: dict[Any, int]) -> None:
        if self._coordinator.owner is not self._lease:
            raise CommitFailedError
        (self._coordinator.committed,) = offsets.values()


@pytest.fixture
async def coordinator() -> Coordinator:
    return Coordinator()


def member(coordinator: Coordinator, name: str) -> Lease:
    """A candidate."""
    lease = Lease(None, name)
    lease._consumer = Member(coordinator, lease)
    return lease


def elect(coordinator: Coordinator, lease: Lease, *others: Lease) -> None:
    """The group assigns the partition; who is `others` hears that it has not got it."""
    coordinator.owner = lease
    lease.assigned(True)
    for other in others:
        other.assigned(False)


async def test_only_the_elected_one_may_publish(coordinator: Coordinator) -> None:
    first, second = member(coordinator, "first"), member(coordinator, "second")
    assert not await first.renew(1)
    elect(coordinator, first, second)
    assert [await first.renew(10), await second.renew(10)] == [True, False]
    elect(coordinator, second, first)
    assert [await first.renew(11), await second.renew(11)] == [False, True]


async def test_one_that_slept_through_an_election_is_told_by_the_coordinator(coordinator: Coordinator) -> None:
    """It believes that it is elected still: nothing but its own clock has told it otherwise."""
    sleeper, other = member(coordinator, "sleeper"), member(coordinator, "other")
    elect(coordinator, sleeper)
    assert await sleeper.renew(10)
    elect(coordinator, other)
    assert await other.renew(20)
    assert not await sleeper.renew(30)
    assert coordinator.committed == 20


async def test_a_new_owner_goes_on_after_the_last_instant_of_the_one_before(coordinator: Coordinator) -> None:
    """Also when its own clock is behind."""
    ahead, behind = member(coordinator, "ahead"), member(coordinator, "behind")
    elect(coordinator, ahead)
    assert await ahead.renew(100)
    elect(coordinator, behind, ahead)
    renewed = [await behind.renew(instant) for instant in (90, 99, 100, 101, 101, 102)]
    assert renewed == [False, False, False, True, False, True]


async def test_while_the_group_assigns_anew_nobody_publishes(coordinator: Coordinator) -> None:
    lease = member(coordinator, "one")
    elect(coordinator, lease)
    assert await lease.renew(1)
    lease.lost("the group is assigning anew")
    assert not await lease.renew(2)
    elect(coordinator, lease)
    assert await lease.renew(2)
