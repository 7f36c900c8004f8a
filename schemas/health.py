"""Health and readiness of every long-running process, in one form.

`/health`: the process lives and its event loop turns; 503 means that a restart would help. `/ready`: it can do its work
now; 503 names each thing that is missing, with a sentence, and no restart would mend it. Processes look about
themselves (`watch`) and tell what they saw last, so that the answer comes at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

import msgspec

LOOK_SECONDS = 1.0
"""From one look to the next."""
ANSWER_SECONDS = 5.0
"""Who has not answered by then is away."""
SILENT_SECONDS = 30.0
"""An event loop that has not turned for so long has stopped."""
JSON = "application/json"


class Answer(NamedTuple):
    """An HTTP status, 200 or 503, and a JSON body."""

    status: int
    body: bytes


class Missing(msgspec.Struct, frozen=True):
    """One thing that is missing: what, and a sentence about it."""

    what: str
    words: str


class Healthy(msgspec.Struct, frozen=True):
    """The body of `/health`."""

    part: str
    healthy: bool


class Ready(msgspec.Struct, frozen=True):
    """The body of `/ready`."""

    part: str
    ready: bool
    missing: list[Missing]


Look = Callable[[], Awaitable[str]]
"""What is missing, as a sentence; empty when nothing is."""


def not_ready(missing: Mapping[str, str]) -> list[Missing]:
    """What is missing, of sentences by name; empty ones mean that nothing is."""
    return [Missing(what, words) for what, words in missing.items() if words]


def ready_answer(part: str, missing: Mapping[str, str]) -> Answer:
    """The answer to `/ready`: sentences by what is missing, empty where nothing is."""
    found = not_ready(missing)
    return Answer(503 if found else 200, msgspec.json.encode(Ready(part, not found, found)))


def health_answer(part: str, *, healthy: bool = True) -> Answer:
    """The answer to `/health`."""
    return Answer(200 if healthy else 503, msgspec.json.encode(Healthy(part, healthy)))


class Health:
    """What a process knows of itself. `needs`: what it needs to be ready, with what to say until it is there.

    Told by the event loop, read from any thread.
    """

    def __init__(self, part: str, needs: Mapping[str, str], now: Callable[[], float] = time.monotonic) -> None:
        self.part = part
        self._now = now
        self._missing = dict(needs)
        self._turned = now()

    def turned(self) -> None:
        """The event loop turns."""
        self._turned = self._now()

    def tell(self, what: str, words: str) -> None:
        """What is missing now, as a sentence; empty: it is there."""
        self._missing = self._missing | {what: words}  # replaced whole, for those who read it meanwhile

    def healthy(self) -> Answer:
        """The answer to `/health`."""
        return health_answer(self.part, healthy=self._silent_seconds() <= SILENT_SECONDS)

    def ready(self) -> Answer:
        """The answer to `/ready`."""
        silent = self._silent_seconds()
        stopped = f"the event loop has not turned for {silent:.0f} s" if silent > SILENT_SECONDS else ""
        return ready_answer(self.part, {"loop": stopped} | self._missing)

    def _silent_seconds(self) -> float:
        return self._now() - self._turned


async def answered(question: Awaitable[object], otherwise: str) -> str:
    """A look by asking: empty when there is an answer in time, else the sentence and the error."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await question
    except TimeoutError:
        return f"{otherwise}: no answer for {ANSWER_SECONDS:g} s"
    except Exception as error:  # whatever it is, it is told to whoever asks
        return f"{otherwise}: {str(error) or type(error).__name__}"
    return ""


async def watch(health: Health, looks: Mapping[str, Look]) -> None:
    """Look about for ever: run as a task beside the work. A look that hangs or fails says nothing about the loop."""
    async with asyncio.TaskGroup() as looking:
        for what, look in looks.items():
            looking.create_task(_look_for_ever(health, what, look))
        while True:
            health.turned()
            await asyncio.sleep(LOOK_SECONDS)


async def _look_for_ever(health: Health, what: str, look: Look) -> None:
    while True:
        try:
            words = await look()
        except Exception as error:  # whatever it is, it is told to whoever asks
            words = f"{what} cannot be asked: {str(error) or type(error).__name__}"
        health.tell(what, words)
        await asyncio.sleep(LOOK_SECONDS)
