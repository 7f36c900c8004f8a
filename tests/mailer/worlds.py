"""MAILER's edges in memory: a journal and topics that outlive a crash, receivers that can be told to fail, a clock."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.mails import DeadMail, MailStep
from schemas.topics import ALERTS, DEAD_MAILS, MAILS
from streams.durable.failpoints import FailPoint
from streams.durable.machine import Output, RawRecord
from streams.mailer.deliveries import Accepted, Delivery, Failed, Outcome
from streams.mailer.desk import Desk
from streams.mailer.dispatcher import Dispatcher
from streams.mailer.journal import ChangelogRecord
from streams.mailer.outbound import BeforeHandOver
from tests.mailer.notices import POLICY, T0

_step = msgspec.json.Decoder(MailStep).decode
_dead = msgspec.json.Decoder(DeadMail).decode


class Killed(BaseException):
    """The process dies here."""


class KillPoint(FailPoint):
    """Dies by an exception instead of a signal, after the chosen step of the chosen number."""

    def __init__(self, step: str = "", count: int = 1) -> None:
        super().__init__("")
        self._step, self._left = step, count

    def passed(self, step: str, in_flight: int = 0) -> None:
        """See `FailPoint`."""
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                raise Killed


class Receiver:
    """Takes deliveries, or answers as scripted, one answer an attempt."""

    def __init__(self, *answers: Outcome) -> None:
        self.answers = list(answers)
        self.taken: Counter[str] = Counter()
        self.attempts = 0

    async def carry(self, delivery: Delivery, before_hand_over: BeforeHandOver) -> Outcome:
        """See `Carrier.carry`: a plain failure comes before the hand-over, an uncertain one after it."""
        self.attempts += 1
        answer = self.answers.pop(0) if self.answers else Accepted("250 OK")
        if isinstance(answer, Failed) and not answer.uncertain:
            return answer
        await before_hand_over()
        self.taken[delivery.delivery_id] += 1
        return answer


class World:
    """One partition's topics and journal, and the processes that come and go on them."""

    def __init__(self, mail: Receiver | None = None, hooks: Receiver | None = None) -> None:
        self.mail, self.hooks = mail or Receiver(), hooks or Receiver()
        self.held: dict[bytes, bytes] = {}
        self.alerts: list[RawRecord] = []
        self.retries: list[RawRecord] = []
        self.published: list[Output] = []
        self.tellings = 0
        self.dies_in_telling = 0
        """Of the calls that tell something, the number of the one in which a process dies before it has told it."""
        self.webhooks: dict[str, list[Any]] = {}
        self.now_us = T0
        self.desk = Desk(0, POLICY)

    async def write(self, records: Sequence[ChangelogRecord]) -> None:
        """See `Journal.write`."""
        for key, value in records:
            if value is None:
                self.held.pop(key, None)
            else:
                self.held[key] = value

    async def publish(self, outputs: Sequence[Output]) -> None:
        """See `produce`."""
        self.tellings += len(outputs) > 0
        if outputs and self.tellings == self.dies_in_telling:
            raise Killed
        self.published += outputs

    async def live(self, kill: KillPoint | None = None) -> bool:
        """One process's life: recover, read everything, attempt until nothing is due; False if it was killed."""
        self.desk = Desk.recovered(0, POLICY, self.held)
        dispatcher = Dispatcher(
            self.desk, self.write, self.publish, {"email": self.mail, "webhook": self.hooks}, kill or KillPoint(),
            lambda: self.now_us,
        )  # fmt: skip
        try:
            for topic, records in ((ALERTS, self.alerts), ("mails.retry", self.retries)):
                start = self.desk.position.offsets.get(topic, 0)
                fresh = [record for record in records if record.offset >= start]
                if fresh:
                    await dispatcher.take(topic, fresh, self.webhooks)
            running = asyncio.create_task(dispatcher.run())
            # The dispatcher tells nobody when it has done all.
            while (self.desk.due(self.now_us) or self.desk.untold()) and not running.done():  # noqa: ASYNC110
                await asyncio.sleep(0)
            await asyncio.wait({running}, timeout=0)
            if not running.done():
                await dispatcher.finish(1)
            await running
        except Killed:
            return False
        except BaseExceptionGroup as group:
            if group.split(Killed)[1] is not None:
                raise
            return False
        return True

    def steps(self) -> list[MailStep]:
        """What `mails` was told, repeats left out, in order."""
        seen: dict[tuple[str, int, int, str], MailStep] = {}
        for output in self.published:
            if output.topic == MAILS:
                step = _step(output.value or b"")
                seen.setdefault((step.delivery_id, step.round, step.attempts, step.status), step)
        return list(seen.values())

    def dead(self) -> list[DeadMail]:
        """What `mails.dead` was told."""
        return [_dead(output.value or b"") for output in self.published if output.topic == DEAD_MAILS]

    def to(self, topic: str) -> list[Output]:
        """What any topic was told."""
        return [output for output in self.published if output.topic == topic]
