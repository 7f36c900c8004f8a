"""The same job as Faust's documentation would have it: `python -m scripts.bench.idiomatic BOOTSTRAP EVENTS DIRECTORY`.

Records, a table per meter, one agent, `topic.send`. No corrections, no dedupe across restarts, no closings: less than
METER does. Prints CPU seconds for the given number of events, the process's start not included.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime
from typing import Any

import faust

from schemas.topics import INTERACTIONS

APP = "bench-idiomatic"
UNITS = "bench.idiomatic.units"
QUARTER_SECONDS = 900.0


class Data(faust.Record):  # type: ignore[misc]
    """What happened."""

    workspace: str
    app: str
    channel: str
    user: str
    direction: str
    chars: int | None = None


class Event(faust.Record):  # type: ignore[misc]
    """An interaction."""

    id: str
    source: str
    type: str
    time: str
    data: Data | None = None


class Talk(faust.Record):  # type: ignore[misc]
    """What is open of one user."""

    conversation_start: float
    session_start: float
    last: float
    events: int
    seen: list[str]


class Unit(faust.Record):  # type: ignore[misc]
    """A conversation or session that began."""

    kind: str
    user: str
    start: float


def new_app(bootstrap: str, events: int, directory: str) -> Any:
    """The Faust app."""
    app = faust.App(
        APP, broker=f"kafka://{bootstrap}", datadir=directory, store="memory://", web_enabled=False,
        topic_allow_declare=False, consumer_auto_offset_reset="earliest", topic_partitions=4,
    )  # fmt: skip
    interactions = app.topic(INTERACTIONS, value_type=Event)
    units = app.topic(UNITS, value_type=Unit)
    talks = app.Table("talks", value_type=Talk, partitions=4)
    begun: list[float] = []

    @app.agent(interactions)  # type: ignore[untyped-decorator]
    async def meter(stream: Any) -> None:
        handled = 0
        async for event in stream:
            if not begun:
                begun.append(time.process_time())
            if event.data is not None:
                await count(event, event.data, talks, units)
            handled += 1
            if handled == events:
                print(time.process_time() - begun[0], flush=True)
                os._exit(0)

    return app


async def count(event: Event, data: Data, talks: Any, units: Any) -> None:
    """Fold one event into what is open of its user; send what began."""
    now = datetime.fromisoformat(event.time).timestamp()
    key = f"{data.workspace}/{data.app}/{data.channel}/{data.user}"
    talk = talks.get(key)
    if talk is None or now - talk.last > QUARTER_SECONDS:
        talk = Talk(now, now, now, 0, [])
        await units.send(key=data.workspace, value=Unit("conversation", data.user, now))
        await units.send(key=data.workspace, value=Unit("session", data.user, now))
    elif now >= talk.session_start + QUARTER_SECONDS:
        talk.session_start = now
        await units.send(key=data.workspace, value=Unit("session", data.user, now))
    identity = f"{event.source} {event.id}"
    if identity not in talk.seen:
        talk.seen.append(identity)
        talk.last = now
        talk.events += 1
        talks[key] = talk


def main() -> None:
    """Run until enough events are handled."""
    bootstrap, events, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    sys.argv = sys.argv[:1]
    faust.Worker(
        new_app(bootstrap, events, directory), loglevel="WARNING", redirect_stdouts=False
    ).execute_from_commandline()


if __name__ == "__main__":
    main()
