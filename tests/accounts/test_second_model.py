"""The account against a second model that recounts the whole history at every step."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from schemas.alerts import Alert
from schemas.changes import PaymentFailed, PaymentSettled
from schemas.topics import ALERTS
from schemas.units import Watermark
from streams.accounts.invariants import broken_laws
from streams.durable.machine import Output
from tests.accounts.histories import APPS, POLICY, RULES, history
from tests.accounts.naive import Naive
from tests.accounts.story import Story

HISTORIES_PER_SEED = 150
ANNOUNCED = ("app_stopped", "app_responding", "contract_usage", "renewal_due")
_alert = msgspec.json.Decoder(Alert).decode


def _alerts(outputs: list[Output]) -> list[tuple[str, str, int]]:
    alerts = [_alert(output.value or b"") for output in outputs if output.topic == ALERTS]
    return [
        (alert.kind, (alert.grant_id or "").removeprefix("acme/"), alert.available_micros)
        for alert in alerts
        if alert.kind not in ANNOUNCED
    ]


@pytest.mark.parametrize("seed", range(10))
def test_every_step_of_a_random_history_agrees_with_a_recount(seed: int) -> None:
    """C1-C9, E4, P3, P4, P8, P11, P12, U10, U12, A1, A2, laws 3 and 7, over 1,500 histories in all."""
    for run in range(HISTORIES_PER_SEED):
        random = Random(seed * HISTORIES_PER_SEED + run)
        lawful = run % 5 > 0
        facts = history(random, random.choice((8, 25, 50)), lawful)
        story, naive = Story(POLICY), Naive(RULES)
        seen = heard = 0
        for at, fact in enumerate(facts):
            records = story.tell(fact)
            naive.take(fact)
            account = story.machine.accounts.get("acme")
            for record in records:
                answered = any(isinstance(change, PaymentFailed | PaymentSettled) for change in record.changes)
                if account is not None and record.kind != "command_refused" and not answered:
                    naive.top_up(max(story.machine.sources.clock.now_us, account.as_of_us), record.sequence)
            where = f"seed {seed}, run {run}, fact {at}: {fact}"
            if account is None:
                assert not naive.exists, where
                continue
            for grant in naive.grants:
                assert account.balance(f"grant:acme/{grant['id']}") == naive.left(grant), where
            for app in APPS:
                assert account.totals.get(f"due:{app}", 0) == -naive.owed(app), where
            usage = sum(account.totals.get(f"usage:{kind}", 0) for kind in ("conversation", "session"))
            assert usage == naive.used(), where
            assert {name: payment.status for name, payment in account.asked.items()} == {
                name: fee["status"] for name, fee in naive.fees.items()
            }, where
            for unit_id, charge in account.open.items():
                ours = (charge.plan, charge.price_micros, charge.covered, charge.pool)
                assert ours == tuple(naive.charges[unit_id][k] for k in ("plan", "price", "covered", "pool")), where
            assert account.totals.get("lapsed", 0) == naive.lapsed, where
            if naive.exists:
                assert account.available_micros == naive.available(), where
            now = story.machine.sources.clock.now_us
            if isinstance(fact, Watermark) and now >= account.as_of_us:
                told = {name: (entry.allowed, entry.why, entry.plan) for name, entry in account.entitled.items()}
                assert told == {name: naive.entitlement(name) for name in naive.apps}, where
            alerts = _alerts(story.outputs[seen:])
            seen = len(story.outputs)
            assert alerts == naive.alerts[heard:], where
            heard = len(naive.alerts)
        refused = sum(record.kind == "command_refused" for record in story.ledger)
        assert (refused, len(story.asides)) == (naive.refused, naive.set_aside)
        assert len({alert.alert_id for alert in story.alerts}) == len(story.alerts)
        if story.ledger and lawful:
            assert broken_laws(story.account(), story.ledger) == []
