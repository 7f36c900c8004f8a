"""U9 without a loop: METER, ACCOUNTS and MAILER fed into one another, with alert mails that cost something."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from schemas.commands import Actor, Command, CreateWorkspace, SetAlerts
from schemas.instants import text_of
from schemas.interactions import MESSAGE, TICK
from schemas.ledger import LedgerRecord, decode_ledger
from schemas.topics import ALERTS, INBOX, INTERACTIONS, LEDGER
from streams.accounts.partition import AccountsPartition
from streams.accounts.policy import policy_of
from streams.durable.machine import Output, RawRecord
from streams.mailer.deliveries import Accepted
from streams.mailer.desk import Desk, DeskPolicy
from streams.mailer.retrying import RetryPolicy
from streams.metering.meter import MeterPartition
from streams.metering.policy import MeterPolicy
from tests.accounts.story import CENT, USD, catalog, price, standard
from tests.mailer.notices import SECOND, T0

MOST_ROUNDS = 100


class Loop:
    """One partition of everything; what one puts out the next takes, until nothing moves."""

    def __init__(self, alert_usd: str) -> None:
        prices = [price("conversation", "0.20"), price("notification", "0"), price("alert", alert_usd)]
        policy = policy_of(catalog(plans=[{**standard(), "prices": prices}]))
        self.meter = MeterPartition(0, MeterPolicy(interaction_partitions=1, account_partitions=1))
        self.accounts = AccountsPartition(0, policy, 1)
        self.desk = Desk(0, DeskPolicy("q.example", RetryPolicy(), 1))
        self.now_us = T0
        self.waiting: list[tuple[str, bytes]] = []
        self.offsets: Counter[str] = Counter()
        self.mailed: list[str] = []
        self.ledger: list[LedgerRecord] = []

    def publish(self, topic: str, value: bytes) -> None:
        """A record from outside."""
        self.waiting.append((topic, value))

    def event(self, kind: str, number: int) -> None:
        """A message of an end user, or a tick."""
        data = {"workspace": "acme", "app": "bot", "channel": "web", "user": "ann", "direction": "inbound"}
        whole = {"specversion": "1.0", "id": f"{kind}-{number}", "source": "/test", "type": kind}
        value = {**whole, "time": text_of(self.now_us), **({"data": data} if kind == MESSAGE else {})}
        self.publish(INTERACTIONS, msgspec.json.encode(value))

    def settle(self) -> None:
        """Let everything flow until nothing moves; fails if it never does."""
        for _ in range(MOST_ROUNDS):
            if not self.waiting:
                return
            self.now_us += SECOND
            batch, self.waiting = self.waiting, []
            for topic, value in batch:
                raw = RawRecord(self.offsets[topic], self.now_us // 1000, None, value)
                self.offsets[topic] += 1
                self._take(topic, raw)
        raise AssertionError(f"after {MOST_ROUNDS} rounds mails still lead to mails: {len(self.mailed)}")

    def _take(self, topic: str, raw: RawRecord) -> None:
        if topic == INTERACTIONS:
            self._put_out(self.meter.step([raw]))
        elif topic == INBOX:
            self._put_out(self.accounts.step([raw]))
        elif topic == LEDGER:
            self.ledger.append(decode_ledger(raw.value or b""))
        elif topic == ALERTS:
            self.desk.apply(self.desk.take(ALERTS, [raw], {}, self.now_us))
            for delivery in self.desk.due(self.now_us):
                self.mailed.append(delivery.notice.alert_id)
                self.desk.apply(self.desk.ended(delivery.delivery_id, Accepted("250 OK"), self.now_us))
                told = self.desk.told(delivery.delivery_id)
                self._put_out(told.outputs)
                self.desk.apply(told)

    def _put_out(self, outputs: list[Output]) -> None:
        self.waiting += [(output.topic, output.value or b"") for output in outputs]


def told(alert_usd: str, thresholds: tuple[int, ...]) -> Loop:
    """A workspace with USD 500 and these thresholds, one conversation, and all that follows."""
    loop = Loop(alert_usd)
    created = Command("c0", "acme", T0, Actor("system", "sign-up"), CreateWorkspace("olga", "olga@acme.example"))
    chosen = Command("c1", "acme", T0, Actor("workspace_owner", "olga"), SetAlerts(thresholds, ()))
    for command in (created, chosen):
        loop.publish(INBOX, msgspec.json.encode(command))
    loop.event(MESSAGE, 1)
    loop.settle()
    loop.now_us += 60 * SECOND
    loop.event(TICK, 2)
    loop.settle()
    return loop


def alert_charges(loop: Loop) -> int:
    """How many alert mails were charged."""
    return sum(c.unit_kind == "alert" for record in loop.ledger for c in record.charges)


def test_u9_at_the_catalogs_price_of_nothing_a_mail_is_counted_and_not_charged() -> None:
    loop = told("0", (499 * USD + 99 * CENT,))
    assert len(loop.mailed) == 1
    assert alert_charges(loop) == 0
    assert loop.meter.outcomes.rejected == 0


def test_u9_a2_mails_that_cost_push_through_each_threshold_once_and_then_end() -> None:
    thresholds = tuple(USD * amount for amount in (499, 470, 440, 410, 380, 350, 320, 290, 260))
    loop = told("30", (499 * USD + 99 * CENT, *thresholds))
    assert len(loop.mailed) == len(set(loop.mailed)) == 10, "each crossing is mailed once"
    assert alert_charges(loop) == 10, "and each mail is one charge"


@pytest.mark.parametrize("alert_usd", ["60", "500", "10000"])
def test_u9_a2_mails_that_use_up_all_credit_end_with_it(alert_usd: str) -> None:
    thresholds = tuple(USD * amount for amount in (450, 400, 350, 300, 250, 200, 150, 100, 50))
    loop = told(alert_usd, (499 * USD + 99 * CENT, *thresholds))
    assert len(loop.mailed) == len(set(loop.mailed))
    kinds = Counter(alert_id.split("/")[1] for alert_id in loop.mailed)
    assert kinds["zero_balance"] == 1
    assert alert_charges(loop) == len(loop.mailed), "what no credit covers is due, and nothing is left to cross"
