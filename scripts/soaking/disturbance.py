"""Workers that join, leave, are killed and are paused at random, by a seed."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from scripts.soaking.crew import Crew, Worker

_ACTIONS = {"leave": 5, "kill": 3, "pause": 2}
MOST_WORKERS = 3


@dataclass
class Disturbance:
    """Keeps two or three workers going, and never leaves them alone for long."""

    crew: Crew
    seed: int
    session_seconds: float
    mean_seconds: float = 5.0
    done: Counter[str] = field(default_factory=Counter)

    async def go_on_for(self, seconds: float, enough: Callable[[], bool] = lambda: True) -> None:
        """Disturb for so long, and until it is enough; afterwards whoever was paused runs again."""
        chance = random.Random(self.seed)  # noqa: S311 - a reproducible disturbance
        pauses: set[asyncio.Task[None]] = set()
        until = time.monotonic() + seconds
        try:
            while (left := until - time.monotonic()) > 0 or not enough():
                task = self._act(chance)
                if task is not None:
                    pauses.add(task)
                    task.add_done_callback(pauses.discard)
                pause = chance.uniform(0.3, 1.7) * self.mean_seconds
                await asyncio.sleep(min(pause, left) if left > 0 else pause)
            for worker in self.crew.running():
                worker.send(signal.SIGCONT)
        finally:
            for task in pauses:
                task.cancel()

    def _act(self, chance: random.Random) -> asyncio.Task[None] | None:
        running = self.crew.running()
        if len(running) < 2 or (len(running) < MOST_WORKERS and chance.random() < 0.5):
            self._did("join")
            self.crew.join()
            return None
        action = chance.choices([*_ACTIONS], [*_ACTIONS.values()])[0]
        worker = chance.choice(running)
        self._did(action)
        if action == "kill":
            worker.kill()
        elif action == "leave":
            worker.send(signal.SIGTERM)
            worker.send(signal.SIGCONT)
        else:
            return asyncio.create_task(self._pause(worker))
        return None

    def _did(self, action: str) -> None:
        self.done[action] += 1

    async def _pause(self, worker: Worker) -> None:
        """Longer than the session lasts: others take over, then it wakes and knows nothing of it."""
        worker.send(signal.SIGSTOP)
        await asyncio.sleep(2 * self.session_seconds)
        worker.send(signal.SIGCONT)
