"""Random histories of one workspace, as METER and people could make them; small amounts meet many edges.

Half of the commands are chosen blindly, so most are refused; the others fit the account as it is then.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec

from schemas.catalog import micros_of_usd
from schemas.changes import Contract, LateCharge, LateEvent, LatePart, LateUnit
from schemas.commands import (
    AcceptInvitation,
    Actor,
    AddFunds,
    AdmitLate,
    ApproveUpgrade,
    AssignLicence,
    AssignRole,
    CancelPlan,
    CancelSupport,
    Command,
    CommandBody,
    CreateApp,
    DeclineUpgrade,
    EndContract,
    FailPayment,
    InboxRecord,
    InviteCollaborator,
    InviteUser,
    MoveCredit,
    PublishApp,
    RemoveCollaborator,
    RemoveLicence,
    RemoveUser,
    RequestFunds,
    RequestUpgrade,
    SetAlerts,
    SetAutoPayment,
    SetEmail,
    SettlePayment,
    StartTrial,
    StopAutoPayment,
    Subscribe,
    SubscribeSupport,
    TransferApp,
    UnpublishApp,
)
from schemas.ledger import Charge, LedgerRecord, Line
from streams.accounts.policy import policy_of
from streams.accounts.state import AccountState
from tests.accounts.naive import MAY
from tests.accounts.story import (
    CENT,
    DAY,
    HOUR,
    T0,
    USD,
    Story,
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


LIMITS = {
    "standard": {"apps": 4, "collaborators_per_app": 1},
    "trial": {"apps": 4, "collaborators_per_app": 2},
    "essential": {"apps": 5, "collaborators_per_app": 2},
    "enterprise": {"apps": 500, "collaborators_per_app": 500},
}
POLICY = policy_of(
    catalog(
        free_credit={"usd": "1", "days": 2},
        top_up={"minimum_usd": "0.5", "maximum_usd": "2"},
        alerts={"low_balance_usd": "0.40", "expiring_days": [1]},
        plans=[
            standard(price("conversation", "0.20"), price("conversation", "0.35", "2026-01-03T00:00:00Z"))
            | {"usage_limits": LIMITS["standard"]},
            {"id": "trial", "trial": {"days": 2, "included": 2}, "usage_limits": LIMITS["trial"]},
            {"id": "essential", "offers": [_offer("monthly"), _offer("yearly")], "usage_limits": LIMITS["essential"]}
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
    "support": 1_000 * USD,
    "limits": LIMITS,
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
        self.together, self.slow = random.random() < 0.4, random.random() < 0.5
        self.units: dict[str, tuple[int, bool, int, str, str]] = {}
        self.corrected = random.random() < 0.3
        """Whether an operator often corrects what is final."""

    def watermarks(self) -> list[InboxRecord]:
        if self.together:
            jumps = (6 * DAY, 9 * DAY, 16 * DAY) if self.slow else (HOUR, 13 * HOUR, DAY, 3 * DAY, 9 * DAY)
            at_us = max(self.now) + self.random.choice(jumps)
            self.now = [at_us] * SOURCES
            return [self.teller.clock(at_us, LATENESS, source, SOURCES) for source in range(SOURCES)]
        source = self.random.randrange(SOURCES)
        self.now[source] += self.random.choice((0, HOUR, 5 * HOUR, 13 * HOUR, 30 * HOUR, 30 * HOUR))
        if self.random.random() < 0.1:
            self.now[source] += 16 * DAY
        return [self.teller.clock(self.now[source], LATENESS, source, SOURCES)]

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
    story, facts = Story(POLICY), []
    for fact in unfolding(random, length, lawful, story):
        story.tell(fact)
        facts.append(fact)
    return facts


def unfolding(random: Random, length: int, lawful: bool, story: Story) -> Iterator[InboxRecord]:
    """The same, fact by fact: the story is to be told each before the next is asked for, since commands fit it."""
    meter = _Meter(random, Teller(), lawful)
    facts: list[InboxRecord] = []
    ahead: list[InboxRecord] = _planned(random) if random.random() < 0.6 else []
    while ahead or len(facts) < length:
        ahead = ahead or _next(random, meter, story, facts)
        if ahead:
            facts.append(ahead.pop(0))
            yield facts[-1]


def _next(random: Random, meter: _Meter, story: Story, facts: list[InboxRecord]) -> list[InboxRecord]:
    roll, account = random.random(), story.machine.accounts.get("acme")
    if meter.corrected and account is not None and random.random() < 0.2:
        actor, body = Actor("operator", "root"), _late(random, story, account, meter.now[0], fits=True)
        return [Command(f"f{len(facts)}", "acme", meter.now[0], actor, body)]
    if roll < 0.36:
        return [meter.opened()]
    if roll < 0.53:
        return [meter.changed()]
    if roll < 0.66:
        return meter.watermarks()
    if roll < 0.82 and account is not None:
        return [_fitting(random, story, account, meter.now[0], len(facts))]
    if roll < 0.95:
        return [_command(random, meter.now[0])]
    return [random.choice(facts)] if facts else []


ROLES = (*("operator",) * 9, "workspace_owner", "app_owner", "collaborator", "system", "system", "user")


def _management(random: Random, now: int) -> CommandBody:
    """A command about apps, plans and fees."""
    app = random.choice((*APPS, "new", "other"))
    contract = Contract(
        random.choice((0, 7 * USD)), random.choice((0, 2)), "monthly", random.choice(("block", "overage")),
        ends_us=random.choice((None, now + 40 * DAY)), support_plan=random.choice(("", "", "basic", "standard")),
        usage_limits=random.choice(({}, {"collaborators_per_app": 2})),
    )  # fmt: skip
    if contract.past == "overage":
        contract = msgspec.structs.replace(contract, overage_micros=random.choice((0, 15 * CENT)))
    since = T0 + random.choice((0, 1, HOUR + 1, 7 * HOUR + 1, DAY + 1, 47 * HOUR + 1))
    payment = f"acme/fee/{random.choice(('contract', 'app/new', 'app/bot', 'support'))}/{since}"
    payment += random.choice(("", "", "", "/2"))
    bodies: tuple[CommandBody, ...] = (
        CreateApp("new"), CreateApp(app), PublishApp("new"), PublishApp(app), UnpublishApp(app), StartTrial("new"),
        StartTrial("new"), Subscribe(app, "essential", random.choice(("monthly", "monthly", "yearly"))),
        Subscribe(app, "essential", "monthly"), CancelPlan(app), RequestUpgrade(random.choice((app, "bot"))),
        ApproveUpgrade(contract), DeclineUpgrade("no"), EndContract("over"), SettlePayment(payment),
        FailPayment(payment, "declined"), MoveCredit(30 * CENT, random.choice((None, app)), random.choice((None, app))),
        SetAutoPayment(40 * CENT, random.choice((50 * CENT, 2 * USD)), random.choice(("card", "ach", "wire"))),
        SetAutoPayment(60 * CENT, 50 * CENT, "card", 2, 3), StopAutoPayment(),
        RequestFunds(random.choice((50, 60, 201)) * CENT, random.choice(("card", "wire")), random.choice((None, app))),
        *(SettlePayment(f"acme/auto/{n}") for n in random.sample(range(2, 30), 4)),
        *(FailPayment(f"acme/auto/{n}", "declined") for n in random.sample(range(2, 30), 4)),
    )  # fmt: skip
    return random.choice(bodies)


USERS = ("olga", "olga", "ben", "ann", "eve@acme.example")
PRODUCTS = ("automation_ai", "search_ai", "agent_ai", "magic")


def _of_people(random: Random) -> CommandBody:
    """A command about people, products, support or thresholds."""
    app, user, product = random.choice((*APPS, "other")), random.choice(USERS), random.choice(PRODUCTS)
    email = random.choice(("", "", f"{user.partition('@')[0]}@acme.example", "nowhere"))
    bodies: tuple[CommandBody, ...] = (
        InviteUser(user, email), InviteUser("ben"), AcceptInvitation(), AcceptInvitation(), SetEmail(user, email),
        AssignRole(user, random.choice(("member", "owner")), email), RemoveUser(user),
        InviteCollaborator(app, user, random.choice(("developer", "tester"))), RemoveCollaborator(app, user),
        InviteCollaborator("new", user, "developer"), TransferApp(app, user), AssignLicence(product),
        RemoveLicence(product), CreateApp(random.choice(("new", "extra")), (product,)),
        SubscribeSupport(monthly_micros=random.choice((None, None, 900 * USD, 1_100 * USD))), SubscribeSupport(),
        CancelSupport(), SetAlerts((), ()), SetAlerts((30 * CENT, 90 * CENT), (50,)), SetAlerts((), (10, 80)),
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
        (Subscribe("new", "essential", "monthly"), CancelPlan("new"), Subscribe("new", "essential", "monthly")),
        (SubscribeSupport(), CancelSupport()),
    )
    bodies: list[CommandBody] = [CreateApp("new"), PublishApp("new"), *random.choice(plans)]
    paid = [command(f"paid-{of}", SettlePayment(f"acme/fee/{of}/{T0}")) for of in ("app/new", "contract", "support")]
    given = [command(f"b{at}", body, T0, "operator") for at, body in enumerate(bodies)]
    if random.random() < 0.4:
        given += [command("invite", InviteUser("ben", "ben@acme.example"), T0, "operator"), _by_ben(AcceptInvitation())]
    if random.random() < 0.4:
        given.append(funds(50 * CENT, "first", T0, None, "operator", "first"))
        given.append(command("auto", SetAutoPayment(60 * CENT, 50 * CENT, "card", 2, 3), T0, "operator"))
    return [create("b", T0), *given, *random.choice(([], [], paid))]


def _fitting(random: Random, story: Story, account: AccountState, now: int, number: int) -> Command:
    """A command that makes sense for the account as it is, by somebody who may mostly give it."""
    body = random.choice(
        [
            _late(random, story, account, now),
            *_fitting_money(random, account),
            *_fitting_people(random, account),
            *_fitting_plans(account),
        ]
    )
    role = random.choice((*MAY[type(body)], MAY[type(body)][0], "user"))
    people = sorted(account.people) or ["olga"]
    owner = getattr(account.apps.get(getattr(body, "app", None) or ""), "owner", "")
    name = {"operator": "root", "system": "pay", "app_owner": owner or people[0]}.get(role, random.choice(people))
    if isinstance(body, AcceptInvitation):
        name = next((user for user, held in account.people.items() if held == "invited"), name)
    return Command(f"f{number}", "acme", now - random.choice((0, 0, HOUR)), Actor(role, name), body)  # type: ignore[arg-type]


def _fitting_money(random: Random, account: AccountState) -> list[CommandBody]:
    asked = [payment.payment_id for payment in account.asked.values() if payment.status != "settled"]
    bodies: list[CommandBody] = [AddFunds(75 * CENT, f"q{account.sequence}", random.choice((None, *APPS)))]
    bodies.append(
        RequestFunds(random.choice((49, 75)) * CENT, random.choice(("wire", "card")), _any_app(random, account))
    )
    for payment in asked[-2:]:
        bodies += [SettlePayment(payment), SettlePayment(payment), FailPayment(payment, "declined")]
    for app, grants in account.purse.paid.items():
        left = sum(grant.remaining_micros for grant in grants)
        bodies += [MoveCredit(random.choice((1, left, left + 1)), app, random.choice((None, *APPS)))]
    if account.auto is not None:
        bodies.append(StopAutoPayment())
    elif account.payments or any(payment.status == "settled" for payment in account.asked.values()):
        bodies.append(SetAutoPayment(60 * CENT, 50 * CENT, "card", 2, 3))
    return bodies


def _late(random: Random, story: Story, account: AccountState, now: int, fits: bool = False) -> AdmitLate:
    """Late events of long ago, mostly new ones, that make units of their own or a unit billable; or take away and move
    units that were charged long ago. `fits`: it is mostly not refused."""
    app, final = random.choice((*APPS, "new")), max(0, story.machine.sources.clock.final_us)
    last = final - HOUR if fits else now - 6 * HOUR
    units: tuple[LateUnit, ...] = tuple(
        LateUnit(f"late-{account.sequence}-{n}", random.choice(("conversation", "session", "session")), start, n % 2, 1)
        for n, start in enumerate(last - random.randrange(234) * HOUR for _ in range(random.choice((1, 2, 3))))
        if start >= 0
    )
    until = final if fits else final + random.choice((0, 0, 0, DAY))
    held = [(charge, told) for charge, told in charged(story.ledger).values() if charge.start_us < until]
    if held and random.random() < 0.8:
        app = random.choice(held)[0].app
        edges = [span.from_us for span in (*account.contracts, *getattr(account.apps.get(app), "spans", ()))]
        changed = [_changed(random, charge, told, edges) for charge, told in held if charge.app == app]
        units = (*changed[:: random.choice((1, -1))][: random.choice((1, 2, 3))], *units[: random.choice((0, 0, 1, 2))])
    number = account.sequence if fits else random.choice((account.sequence, random.randrange(9)))
    events = tuple(LateEvent("/gateways/late", f"e{n}", 0, n * 1_000 + number) for n in range(random.choice((1, 1, 2))))
    after = len(account.admitted) + random.choice((0, 0, 0, 0, not fits))
    until = max(0, story.machine.sources.clock.complete_us - random.choice((HOUR, HOUR, 1, int(fits))))
    return AdmitLate(app, "web", "ann", events, units, after, "a gateway was down", random.choice((0, until)))


def charged(ledger: list[LedgerRecord]) -> dict[str, tuple[Charge, LateCharge]]:
    """The charges that stand, by unit, each as the ledger tells it: what it cost and which grants paid."""
    grants = {f"grant:{opened.grant_id}": opened for record in ledger for opened in record.grants}
    found: dict[str, tuple[Charge, LateCharge]] = {}
    for record in ledger:
        charges = iter(record.charges)
        for posting in _postings(record.lines):
            if not posting[0].account.startswith("usage:"):
                continue
            charge = next(charges)
            if charge.reversed:
                found.pop(charge.unit_id, None)
                continue
            parts = [
                LatePart(g.grant_id, g.credit, g.amount_micros, g.granted_us, -line.amount_micros, g.expires_us, g.app)
                for line in posting[1:]
                if (g := grants.get(line.account)) is not None
            ]
            told = LateCharge(charge.start_us, charge.price_micros, charge.plan, charge.covered, charge.pool, (*parts,))
            found[charge.unit_id] = (charge, told)
    return found


def _postings(lines: tuple[Line, ...]) -> Iterator[list[Line]]:
    posting: list[Line] = []
    for line in lines:
        posting.append(line)
        if sum(one.amount_micros for one in posting) == 0:
            yield posting
            posting = []


def _changed(random: Random, charge: Charge, told: LateCharge, edges: list[int]) -> LateUnit:
    """A unit that goes, moves, or is silent after all; now and then with a charge that it cannot have."""
    if random.random() < 0.06:
        told = msgspec.structs.replace(told, price_micros=told.price_micros + 1)
    if random.random() < 0.06:
        told = msgspec.structs.replace(told, plan="silver")
    if told.parts and random.random() < 0.06:
        told = msgspec.structs.replace(told, parts=told.parts[1:])
    known = None if random.random() < 0.06 else told
    unit = LateUnit(charge.unit_id, charge.unit_kind, charge.start_us, -1, -1, charge=known)  # type: ignore[arg-type]
    roll = random.random()
    if roll < 0.45:
        return unit
    if roll < 0.55:
        return msgspec.structs.replace(unit, delta=0)
    edges = [edge - random.choice((0, 1)) for edge in (*edges, *(part.expires_us or 0 for part in told.parts))]
    near = [edge for edge in edges if edge // DAY == charge.start_us // DAY]
    hours = (-HOUR, HOUR, -7 * HOUR, 7 * HOUR, 20 * HOUR)
    moved = random.choice(near) if near else max(0, charge.start_us + random.choice((-1, 1, *hours)))
    unit = msgspec.structs.replace(unit, start_us=moved, from_us=charge.start_us, delta=0, billable_delta=0)
    return msgspec.structs.replace(unit, stays_billable=random.random() < 0.95)


def _any_app(random: Random, account: AccountState) -> str | None:
    return random.choice((None, *sorted(account.apps)))


def _fitting_people(random: Random, account: AccountState) -> list[CommandBody]:
    strangers = sorted(set(USERS) - account.people.keys())
    bodies: list[CommandBody] = [InviteUser(user, random.choice(("", "x@acme.example"))) for user in strangers[:1]]
    if "invited" in account.people.values():
        bodies += [AcceptInvitation()] * 2
    for user, app in zip(sorted(account.people), sorted(account.apps), strict=False):
        bodies += [InviteCollaborator(app, user, "developer"), TransferApp(app, user), AssignRole(user, "owner")]
        bodies += [RemoveCollaborator(app, worker) for worker in sorted(account.apps[app].collaborators)]
        bodies.append(random.choice((SetEmail(user, ""), SetEmail(user, "y@acme.example"), RemoveUser(user))))
    bodies += [RemoveLicence(product) for product in sorted(account.licences)] or [AssignLicence("search_ai")]
    return bodies


def _fitting_plans(account: AccountState) -> list[CommandBody]:
    bodies: list[CommandBody] = [CancelSupport() if "support" in account.subscriptions else SubscribeSupport()]
    for app in account.apps.values():
        bodies.append(CancelPlan(app.app) if app.spans else Subscribe(app.app, "essential", "monthly"))
    if account.upgrade_requested:
        bodies += [DeclineUpgrade("no"), ApproveUpgrade(Contract(7 * USD, 2, "monthly", "overage", 15 * CENT))]
    elif account.contracts:
        bodies.append(EndContract("over"))
    elif account.apps:
        bodies.append(RequestUpgrade(min(account.apps)))
    return bodies


def _by_ben(body: CommandBody) -> Command:
    given = command("accept", body, T0, "collaborator")
    return msgspec.structs.replace(given, actor=Actor("collaborator", "ben"))


def _command(random: Random, now: int) -> InboxRecord:
    at = now - random.choice((0, 0, HOUR, 3 * DAY))
    name = f"c{random.randrange(12)}"
    role = random.choice(("system", "operator", "operator", "workspace_owner", "collaborator"))
    what = random.random()
    if what < 0.6:
        body = _management(random, now) if random.random() < 0.65 else _of_people(random)
        given = command(f"m{random.randrange(600)}", body, at, random.choice(ROLES))
        joins = isinstance(body, AcceptInvitation)
        name, role = random.choice(USERS), "collaborator" if joins else given.actor.role
        return msgspec.structs.replace(given, actor=Actor(role, name))
    what = (what - 0.6) / 0.4
    if what < 0.2:
        return create(name, at, role)
    if what < 0.5:
        return credit(random.choice((1, 25 * CENT, 60 * CENT)), name, at, role)
    app = random.choice((None, None, *APPS))
    amount = random.choice((49 * CENT, 50 * CENT, 75 * CENT, 200 * CENT, 201 * CENT))
    return funds(amount, name, at, app, role, f"p{random.randrange(12)}")
