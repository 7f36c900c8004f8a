"""Random histories of one workspace, as METER and people could make them; small amounts meet many edges."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from schemas.catalog import micros_of_usd
from schemas.changes import Contract
from schemas.commands import (
    ApproveUpgrade,
    CancelPlan,
    CommandBody,
    CreateApp,
    DeclineUpgrade,
    EndContract,
    FailPayment,
    InboxRecord,
    MoveCredit,
    PublishApp,
    RequestUpgrade,
    SetAutoPayment,
    SettlePayment,
    StartTrial,
    StopAutoPayment,
    Subscribe,
    UnpublishApp,
)
from streams.accounts.policy import policy_of
from tests.accounts.story import (
    CENT,
    DAY,
    HOUR,
    T0,
    USD,
    Teller,
    catalog,
    command,
    create,
    credit,
    funds,
    price,
    standard,
)

LATENESS = 6 * HOUR


def _offer(period: str) -> dict[str, object]:
    return {"period": period, "from": "2000-01-01T00:00:00Z", "fee_usd": "5", "included": 2}


POLICY = policy_of(
    catalog(
        free_credit={"usd": "1", "days": 2},
        top_up={"minimum_usd": "0.5", "maximum_usd": "2"},
        alerts={"low_balance_usd": "0.40", "expiring_days": [1]},
        plans=[
            standard(price("conversation", "0.20"), price("conversation", "0.35", "2026-01-03T00:00:00Z")),
            {"id": "trial", "trial": {"days": 2, "included": 2}},
            {"id": "essential", "offers": [_offer("monthly"), _offer("yearly")]}
            | {"prices": standard(price("conversation", "0.30"))["prices"]},
        ],
        renewals={"grace_days": 3},
    )
)
RULES = {
    "free": micros_of_usd("1"),
    "days": 2,
    "policy": 0,
    "low": 40 * CENT,
    "least": 50 * CENT,
    "most": 200 * CENT,
    "warn": [1],
    "tried": 2,
    "trial_days": 2,
    "subscription": (5 * USD, 2, 30 * CENT),
    "grace": 3,
    "pause": HOUR,
    "prices": [(0, 20 * CENT), (T0 + 2 * DAY, 35 * CENT)],
}
APPS = ("bot", "shop", "new")
SOURCES = 2


class _Meter:
    """What METER would say of a handful of units, from two source partitions. A lawful one keeps its promise that no
    unit changes that starts before its watermark's `complete_us`, but for one in which the user speaks late (U12)."""

    def __init__(self, random: Random, teller: Teller, lawful: bool) -> None:
        self.random, self.teller, self.lawful = random, teller, lawful
        self.now = [T0, T0]
        self.units: dict[str, tuple[int, bool, int, str, str]] = {}

    def watermark(self) -> InboxRecord:
        source = self.random.randrange(SOURCES)
        self.now[source] += self.random.choice((0, HOUR, 5 * HOUR, 13 * HOUR, 30 * HOUR, 30 * HOUR))
        if self.random.random() < 0.1:
            self.now[source] += 16 * DAY
        return self.teller.clock(self.now[source], LATENESS, source, SOURCES)

    def opened(self) -> InboxRecord:
        source = self.random.randrange(SOURCES)
        unit_id, billable = f"u{len(self.units)}", self.random.random() < 0.9
        app = self.random.choice((*APPS, "new"))
        start = self._start(source)
        kind = self.random.choice((*("conversation",) * 6, "session", "session", "session", "notification"))
        self.units[unit_id] = (start, billable, source, app, kind)
        return self.teller.unit(unit_id, start, app=app, billable=billable, kind=kind, source=source)

    def changed(self) -> InboxRecord:
        if not self.units:
            return self.opened()
        unit_id = self.random.choice(sorted(self.units))
        start, billable, source, app, kind = self.units[unit_id]
        change = self.random.choice(("revised", "revised", "retracted", "closed"))
        spoken, delta = billable, 0
        final = self.lawful and start < self.now[source] - LATENESS
        if final:
            change = "closed" if billable else "revised"
            spoken, delta = True, int(not billable)
        elif change == "revised":
            if self.random.random() < 0.7:
                start = self._start(source)
            if self.random.random() < 0.3:
                spoken = not billable
                delta = int(spoken) - int(billable)
        elif change == "retracted":
            spoken, delta = False, -int(billable)
        self.units[unit_id] = (start, spoken, source, app, kind)
        words: dict[str, Any] = {"app": app, "billable": spoken, "kind": kind, "delta": delta, "source": source}
        return self.teller.unit(unit_id, start, change, **words)

    def _start(self, source: int) -> int:
        honest = self.lawful or self.random.random() < 0.9
        earliest = max(T0, self.now[source] - LATENESS) if honest else T0
        # Whole hours and days, so that starts fall on expiries and price changes.
        return -(-earliest // HOUR) * HOUR + self.random.choice((0, 1, HOUR, 7 * HOUR, DAY, 47 * HOUR))


def history(random: Random, length: int, lawful: bool = True) -> list[InboxRecord]:
    """Some `length` facts; now and then an earlier one comes again."""
    teller = Teller()
    meter = _Meter(random, teller, lawful)
    facts: list[InboxRecord] = _planned(random) if random.random() < 0.6 else []
    while len(facts) < length:
        roll = random.random()
        if roll < 0.45:
            facts.append(meter.opened())
        elif roll < 0.65:
            facts.append(meter.changed())
        elif roll < 0.78:
            facts.append(meter.watermark())
        elif roll < 0.95:
            facts.append(_command(random, meter.now[0]))
        elif facts:
            facts.append(random.choice(facts))
    return facts


ROLES = (*("operator",) * 9, "workspace_owner", "app_owner", "collaborator", "system", "system")


def _management(random: Random, now: int) -> CommandBody:
    """A command about apps, plans and fees."""
    app = random.choice((*APPS, "new", "other"))
    contract = Contract(
        random.choice((0, 7 * USD)), random.choice((0, 2)), "monthly", random.choice(("block", "overage")),
        ends_us=random.choice((None, now + 40 * DAY)),
    )  # fmt: skip
    if contract.past == "overage":
        contract = msgspec.structs.replace(contract, overage_micros=random.choice((0, 15 * CENT)))
    since = T0 + random.choice((0, 1, HOUR + 1, 7 * HOUR + 1, DAY + 1, 47 * HOUR + 1))
    payment = f"acme/fee/{random.choice(('contract', 'app/new', 'app/bot'))}/{since}"
    bodies: tuple[CommandBody, ...] = (
        CreateApp("new"), CreateApp(app), PublishApp("new"), PublishApp(app), UnpublishApp(app), StartTrial("new"),
        StartTrial("new"), Subscribe(app, "essential", random.choice(("monthly", "monthly", "yearly"))),
        Subscribe(app, "essential", "monthly"), CancelPlan(app), RequestUpgrade(random.choice((app, "bot"))),
        ApproveUpgrade(contract), DeclineUpgrade("no"), EndContract("over"), SettlePayment(payment),
        FailPayment(payment, "declined"), MoveCredit(30 * CENT, random.choice((None, app)), random.choice((None, app))),
        SetAutoPayment(40 * CENT, random.choice((50 * CENT, 2 * USD)), random.choice(("card", "ach", "wire"))),
        SetAutoPayment(60 * CENT, 50 * CENT, "card", 2, 3), StopAutoPayment(),
        *(SettlePayment(f"acme/auto/{n}") for n in random.sample(range(2, 30), 4)),
        *(FailPayment(f"acme/auto/{n}", "declined") for n in random.sample(range(2, 30), 4)),
    )  # fmt: skip
    return random.choice(bodies)


def _planned(random: Random) -> list[InboxRecord]:
    """A workspace whose apps are on plans of their own, or under a contract."""
    contract = Contract(7 * USD, 2, "monthly", random.choice(("block", "overage")), ends_us=T0 + 50 * DAY)
    if contract.past == "overage":
        contract = msgspec.structs.replace(contract, overage_micros=15 * CENT)
    plans: tuple[tuple[CommandBody, ...], ...] = (
        (StartTrial("new"),),
        (StartTrial("new"), Subscribe("new", "essential", "monthly")),
        (Subscribe("new", "essential", "monthly"),),
        (Subscribe("new", "essential", "yearly"), CancelPlan("new")),
        (ApproveUpgrade(contract),),
    )
    bodies: list[CommandBody] = [CreateApp("new"), PublishApp("new"), *random.choice(plans)]
    paid = [command("paid", SettlePayment(f"acme/fee/{of}/{T0}")) for of in ("app/new", "contract")]
    given = [command(f"b{at}", body, T0, "operator") for at, body in enumerate(bodies)]
    if random.random() < 0.4:
        given.append(funds(50 * CENT, "first", T0, None, "operator", "first"))
        given.append(command("auto", SetAutoPayment(60 * CENT, 50 * CENT, "card", 2, 3), T0, "operator"))
    return [create("b", T0), *given, *random.choice(([], [], paid))]


def _command(random: Random, now: int) -> InboxRecord:
    at = now - random.choice((0, 0, HOUR, 3 * DAY))
    name = f"c{random.randrange(12)}"
    role = random.choice(("system", "operator", "operator", "workspace_owner", "collaborator"))
    what = random.random()
    if what < 0.6:
        return command(f"m{random.randrange(600)}", _management(random, now), at, random.choice(ROLES))
    what = (what - 0.6) / 0.4
    if what < 0.2:
        return create(name, at, role)
    if what < 0.5:
        return credit(random.choice((1, 25 * CENT, 60 * CENT)), name, at, role)
    app = random.choice((None, None, *APPS))
    amount = random.choice((49 * CENT, 50 * CENT, 75 * CENT, 200 * CENT, 201 * CENT))
    return funds(amount, name, at, app, role, f"p{random.randrange(12)}")
