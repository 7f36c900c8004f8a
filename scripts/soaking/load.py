"""A seeded load of interaction events whose gaps sit on and around the quarter-hour, disordered and repeated.

Time is virtual: events of some hundred users a few virtual minutes apart, published in an order that is out by at most
`DISORDER_US`, so that none is late under the lateness that `soak_settings` sets.
"""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from schemas.instants import text_of
from schemas.routing import interaction_key, partition_of
from schemas.settings import Settings
from schemas.topics import INTERACTIONS
from streams.durable.machine import Output
from streams.workers.clock import tick_outputs

START_US = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
SECOND_US = 1_000_000
QUARTER_US = 900 * SECOND_US
DISORDER_US = 30 * 60 * SECOND_US
LATENESS_SECONDS = 2 * 3600
BATCH_RECORDS = 50
"""Small, so that several batches are in flight under a load that two cores can bear."""
WORKSPACES = 5


@dataclass(frozen=True, slots=True, order=True)
class Sent:
    """One event, as the recount needs it."""

    user: str
    time_us: int
    inbound: bool


@dataclass
class Load:
    """An endless, seeded sequence of records; remembers what it sent."""

    seed: int
    partitions: int
    users: int = 400
    repeated_share: float = 0.05
    sent: list[Sent] = field(default_factory=list)
    repeats: int = 0
    newest_us: int = START_US

    def records(self) -> Iterator[Output]:
        """The records in the order to publish them."""
        chance = random.Random(self.seed)  # noqa: S311 - a reproducible load
        number = 0
        # (virtual instant, tie-breaker, user) for events to come, (instant, tie-breaker, record) for what is held up.
        coming = [(START_US + chance.randrange(QUARTER_US), user) for user in range(self.users)]
        heapq.heapify(coming)
        waiting: list[tuple[int, int, Output, Sent | None]] = []
        while True:
            time_us, user = heapq.heappop(coming)
            heapq.heappush(coming, (time_us + _gap_us(chance), user))
            number += 1
            event = Sent(f"user-{user}", time_us, chance.random() < 0.5)
            output = self._output(event, number)
            held_up = chance.randrange(DISORDER_US) if chance.random() < 0.3 else 0
            heapq.heappush(waiting, (time_us + held_up, number, output, event))
            if chance.random() < self.repeated_share:
                number += 1
                again = time_us + held_up + chance.randrange(DISORDER_US)
                heapq.heappush(waiting, (again, number, output, None))
            while waiting and waiting[0][0] <= coming[0][0]:
                _, _, due, first = heapq.heappop(waiting)
                if first is None:
                    self.repeats += 1
                else:
                    self.sent.append(first)
                    self.newest_us = max(self.newest_us, first.time_us)
                yield due

    def _output(self, event: Sent, number: int) -> Output:
        workspace = f"workspace-{int(event.user[5:]) % WORKSPACES}"
        key = interaction_key(workspace, "helper", "web", event.user)
        data = {
            "workspace": workspace, "app": "helper", "channel": "web", "user": event.user,
            "direction": "inbound" if event.inbound else "outbound",
        }  # fmt: skip
        envelope = {
            "specversion": "1.0", "id": str(number), "source": "/load", "type": "quarterhour.message.v1",
            "time": text_of(event.time_us), "data": data,
        }  # fmt: skip
        return Output(INTERACTIONS, partition_of(key, self.partitions), key.encode(), json.dumps(envelope).encode())

    def final_ticks(self) -> list[Output]:
        """One tick a partition, late enough for everything to close."""
        return tick_outputs(self.newest_us + (LATENESS_SECONDS + 3600) * SECOND_US, self.partitions)


def _gap_us(chance: random.Random) -> int:
    """To a user's next event: mostly minutes, often the quarter-hour to the microsecond or just beside it."""
    draw = chance.random()
    if draw < 0.55:
        return chance.randrange(SECOND_US, 600 * SECOND_US)
    if draw < 0.85:
        return QUARTER_US + chance.choice((-1000, -1, 0, 1, 1000))
    return chance.randrange(QUARTER_US, 4 * QUARTER_US)


def soak_settings(
    bootstrap: str, *, partitions: int = 4, transport: str = "batch", session_seconds: int = 6
) -> Settings:
    """The settings of a METER that takes this load."""
    return Settings.model_validate(
        {
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap, "interaction_partitions": partitions, "account_partitions": 2,
            "allowed_lateness_seconds": LATENESS_SECONDS, "session_timeout_seconds": session_seconds,
            "transport": transport, "batch_records": BATCH_RECORDS,
        }
    )  # fmt: skip
