"""A second model of an account, written to be obviously right and nothing else: plain dicts and lists, whole history.

It forgets nothing and keeps no sums: what is left of a grant is the sum of all its moves, every order is a sort over
everything. It shares no code with `streams.accounts`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

from schemas import commands as c
from schemas.commands import AddFunds, Command, CreateWorkspace, GrantCredit
from schemas.units import Unit, Watermark

NEVER = 10**18
FIVE_MINUTES = 300_000_000
DAY = 86_400_000_000


_OWNERS = ("operator", "workspace_owner", "app_owner")
MAY: dict[type, tuple[str, ...]] = {
    c.CreateApp: (*_OWNERS, "collaborator"),
    **dict.fromkeys((c.PublishApp, c.UnpublishApp, c.StartTrial, c.Subscribe, c.CancelPlan), _OWNERS),
    c.RequestUpgrade: _OWNERS[1:],
    c.RequestFunds: _OWNERS,
    c.AdmitLate: ("operator",),
    **dict.fromkeys((c.ApproveUpgrade, c.DeclineUpgrade, c.EndContract), ("operator",)),
    **dict.fromkeys((c.MoveCredit, c.SetAutoPayment, c.StopAutoPayment), _OWNERS[:2]),
    **dict.fromkeys((c.SettlePayment, c.FailPayment), ("operator", "system")),
    **dict.fromkeys((c.CreateWorkspace, c.AddFunds), (*_OWNERS[:2], "system")),
    **dict.fromkeys((c.GrantCredit, c.AssignLicence, c.RemoveLicence), ("operator",)),
    **dict.fromkeys((c.InviteUser, c.AssignRole, c.RemoveUser, c.SetAlerts), _OWNERS[:2]),
    **dict.fromkeys((c.SubscribeSupport, c.CancelSupport), _OWNERS[:2]),
    **dict.fromkeys((c.InviteCollaborator, c.RemoveCollaborator, c.TransferApp), _OWNERS),
    c.SetEmail: (*_OWNERS, "collaborator"),
    c.AcceptInvitation: ("collaborator",),
}
PRODUCTS = {"automation_ai", "search_ai", "contact_center_ai", "agent_ai"}
SUPPORT = "the support"
"""Stands where an app's name, or "" for the contract, says what a fee is for."""


@cache
def months_later(since: int, months: int) -> int:
    """Day by day: the same day of a later month, or its last one."""
    start = datetime.fromtimestamp(since // 10**6, UTC)
    day, month = start, start.month
    for _ in range(months):
        month = month % 12 + 1
        while day.month != month:
            day += timedelta(days=1)
    while day.day < start.day and (day + timedelta(days=1)).month == month:
        day += timedelta(days=1)
    return since + (day - start) // timedelta(microseconds=1)


class Naive:
    """One workspace, fed with every fact in the order of arrival. Amounts in micro-dollars."""

    def __init__(self, rules: dict[str, Any]) -> None:
        self.rules = rules
        self.exists = False
        self.grants: list[dict[str, Any]] = []
        self.moves: list[tuple[str, int]] = []
        self.charges: dict[str, dict[str, Any]] = {}
        self.old: list[dict[str, Any]] = []
        self.ghosts: list[dict[str, Any]] = []
        self.commands: dict[str, list[Command]] = {}
        self.strangers: list[Command] = []
        self.payments: set[str] = set()
        self.late: set[tuple[int, int]] = set()
        self.terms: set[tuple[str, int]] = set()
        self.marks: dict[int, tuple[int, int]] = {}
        self.reports: dict[int, tuple[int, int]] = {}
        self.now = self.complete = -NEVER
        self.lapsed = 0
        self.refused, self.refuses = 0, False
        self.set_aside = 0
        self.apps: dict[str, dict[str, Any]] = {}
        self.contracts: list[list[Any]] = []
        self.subs: dict[str, dict[str, Any]] = {}
        self.fees: dict[str, dict[str, Any]] = {}
        self.wish = False
        self.auto: dict[str, Any] | None = None
        self.command_id, self.time, self.actor = "", 0, ""
        self.newest = -NEVER
        self.alerts: list[tuple[str, str, int]] = []
        self.people: dict[str, str] = {}
        self.emails: dict[str, str] = {}
        self.licences: set[str] = set()
        self.thresholds: dict[str, tuple[str, int]] = {"": ("amount", rules["low"])}
        self.holding: dict[str, int] = {}
        self.last_added = 0
        self.usage_told: set[tuple[str, int]] = set()
        self.renewals_told: set[tuple[str, int]] = set()
        self.announced: list[tuple[str, str]] = []

    # What the balances are.

    def left(self, grant: dict[str, Any]) -> int:
        return sum(amount for name, amount in self.moves if name == grant["id"])

    def available(self) -> int:
        return sum(self.left(grant) for grant in self.grants if grant["expires"] > self.now)

    def owed(self, app: str | None = None) -> int:
        everything = [*self.charges.values(), *self.old]
        return sum(c["paid"].get(None, 0) for c in everything if app in (None, c["app"]))

    def used(self) -> int:
        return sum(c["price"] for c in [*self.charges.values(), *self.old])

    # What happens.

    def take(self, fact: Unit | Command | Watermark) -> None:
        self.refuses = False
        if isinstance(fact, Command):
            self.command(fact)
        else:
            mark = (fact.origin.offset, fact.origin.index)
            if mark <= self.marks.get(fact.origin.partition, (-1, -1)):
                return
            self.marks[fact.origin.partition] = mark
            if isinstance(fact, Unit):
                self.unit(fact)
            else:
                self.watermark(fact)
        if not self.exists:
            return
        left, before, self.holding = self.available(), self.holding, {}
        for name, (what, number) in self.thresholds.items():
            low = number if what == "amount" else self.last_added * number // 100
            if left < low:
                self.holding[name] = low
                if name not in before and low not in before.values():
                    self.alerts.append(("low_balance", "", left))
        if left == 0:
            self.holding["zero"] = 0
            if "zero" not in before:
                self.alerts.append(("zero_balance", "", left))

    def final(self, start: int) -> bool:
        return start < self.complete // FIVE_MINUTES * FIVE_MINUTES

    def create(self, at: int) -> None:
        self.exists = True
        self.give("welcome", "free", self.rules["free"], at, None)

    def give(self, name: str, credit: str, amount: int, at: int, app: str | None) -> None:
        expires = NEVER if credit == "paid" else max(at, self.rules["policy"]) + self.rules["days"] * DAY
        grant: dict[str, Any] = {"id": name, "credit": credit, "at": at, "expires": expires, "app": app, "warned": []}
        self.grants.append(grant)
        if not name.startswith("move/"):
            self.last_added = amount
        self.moves.append((name, amount))
        if expires <= self.complete:
            self.lapse(grant, amount)
            self.alerts.append(("free_credit_lapsed", name, self.available()))

    def lapse(self, grant: dict[str, Any], amount: int) -> None:
        self.moves.append((grant["id"], -amount))
        self.lapsed += amount

    def unit(self, unit: Unit) -> None:
        if not self.exists:
            self.create(unit.start_us)
        try:
            self.bill(unit)
        finally:
            self.newest = max(self.newest, unit.start_us)

    def bill(self, unit: Unit) -> None:
        if unit.change == "closed":
            return
        held = self.charges.get(unit.unit_id)
        if held is not None and self.final(held["start"]):
            self.old.append(self.charges.pop(unit.unit_id))
            held = None
        full = self.cost(unit.app, unit.kind, unit.start_us, held)
        wanted = full if unit.billable and unit.change in ("opened", "revised") else None
        if held is None and self.final(unit.start_us):
            if unit.billable_delta == -1 and full:
                self.set_aside += 1
                return
            if unit.billable_delta != 1:
                return
        now = held and tuple(held[k] for k in ("plan", "price", "covered", "pool"))
        if held is not None and now == wanted and not self.must_post_again(held, unit.start_us):
            if not self.final(unit.start_us):
                held["start"] = unit.start_us
            return
        if held is not None:
            del self.charges[unit.unit_id]
            self.give_back(held)
            if held["covered"] == "included" and (wanted or ("",) * 4)[2:] != ("included", held["pool"]):
                self.promote(held["pool"])
        if wanted:
            self.post(unit.app, unit.unit_id, unit.start_us, wanted)
        self.settle()

    def give_back(self, held: dict[str, Any]) -> None:
        for name, amount in held["paid"].items():
            if name is not None:
                self.moves.append((name, amount))
                grant = next(g for g in self.grants if g["id"] == name)
                if grant["expires"] <= self.complete:
                    self.lapse(grant, amount)

    def promote(self, pool: str) -> None:
        """A free place goes to the oldest unit past the included ones that can still change."""
        waiting = [x for x in self.charges.values() if x["pool"] == pool and x["covered"] != "included"]
        for other in sorted((x for x in waiting if not self.final(x["start"])), key=lambda x: (x["start"], x["unit"])):
            self.give_back(other)
            other |= {"price": 0, "covered": "included", "paid": {}, "owed": False}
            return

    # Which plan, and what it costs.

    def plan(self, app: str, at: int) -> tuple[str, str, str, int, int | None]:
        """Plan, unit, pool, included, price past them (None: not sold)."""
        for since, until, contract in reversed(self.contracts):
            if since <= at < until:
                pool = f"@{self.term(since, contract.term, at)[0]}"
                past = contract.overage_micros if contract.past == "overage" else None
                return ("enterprise", "session", pool, contract.allowed_requests, past)
        for since, until, plan, period in reversed(self.apps.get(app, {"plans": []})["plans"]):
            if since <= at < until and plan == "trial":
                return ("trial", "session", f"{app}@{since}", self.rules["tried"], None)
            if since <= at < until:
                pool = f"{app}@{self.term(since, period, at)[0]}"
                return (plan, "conversation", pool, *self.rules["subscription"][1:])
        price = max((since, price) for since, price in self.rules["prices"] if since <= at)[1]
        return ("standard", "conversation", "", 0, price)

    def term(self, since: int, period: str, at: int) -> tuple[int, int]:
        start, count = since, 0
        while True:
            count += 12 if period == "yearly" else 1
            end = months_later(since, count)
            if at < end:
                return start, end
            start = end

    def cost(self, app: str, kind: str, start: int, held: dict[str, Any] | None) -> tuple[str, int, str, str] | None:
        full = self.full_cost(app, kind, start)
        _, _, pool, included, _ = self.plan(app, start)
        if full is None or not full[3]:
            return full
        taken = sum(x["pool"] == pool and x["covered"] == "included" for x in [*self.charges.values(), *self.old])
        if taken < included or (held and held["pool"] == pool and held["covered"] == "included"):
            return (full[0], 0, "included", pool)
        return full

    def full_cost(self, app: str, kind: str, start: int) -> tuple[str, int, str, str] | None:
        """Were there no included units."""
        plan, main, pool, _, past = self.plan(app, start)
        if kind != main:
            return None
        if app in self.apps and not self.is_published(app, start):
            return (plan, 0, "unpublished", "")
        if not pool:
            return (plan, past or 0, "", "") if past else None
        return (plan, past, "", pool) if past else (plan, 0, "beyond", pool)

    def entitlement(self, app: str) -> tuple[bool, str, str]:
        """E1, E2: what the app may do now, and why."""
        plan, _, pool, included, past = self.plan(app, self.now)
        taken = sum(x["pool"] == pool and x["covered"] == "included" for x in [*self.charges.values(), *self.old])
        credit = sum(self.left(g) for g in self.grants if g["expires"] > self.now and g["app"] in (None, app))
        if not self.is_published(app, self.now):
            return False, "unpublished" if any(on for _, on in self.apps[app]["published"]) else "draft", plan
        if pool and taken < included:
            return True, "has_included_units", plan
        if plan == "enterprise":
            return (True, "overage_agreed", plan) if past is not None else (False, "contract_used_up", plan)
        if past is None:
            return False, "trial_used_up", plan
        return (True, "has_credit", plan) if credit else (False, "no_credit", plan)

    def is_published(self, app: str, at: int) -> bool:
        history = [on for since, on in self.apps[app]["published"] if since <= at]
        return bool(history) and history[-1]

    def must_post_again(self, held: dict[str, Any], start: int) -> bool:
        if start // DAY != held["start"] // DAY:
            return True
        if start == held["start"] or held["price"] == 0:
            return False
        if held["paid"].get(None):
            return True
        low, high = sorted((start, held["start"]))
        return any(low < g["expires"] <= high and (self.left(g) or g["id"] in held["paid"]) for g in self.grants)

    def pay(self, charge: dict[str, Any]) -> None:
        """Whatever is unpaid of a charge, from what may pay it, in the order of C5."""

        def rank(g: dict[str, Any]) -> tuple[Any, ...]:
            if g["credit"] == "free":
                return (0, g["expires"], g["at"], g["id"])
            return (1 if g["app"] else 2, g["at"], g["id"])

        for grant in sorted(self.grants, key=rank):
            part = min(self.left(grant), charge["paid"].get(None, 0))
            if part and grant["app"] in (None, charge["app"]) and charge["start"] < grant["expires"]:
                self.moves.append((grant["id"], -part))
                charge["paid"][grant["id"]] = charge["paid"].get(grant["id"], 0) + part
                charge["paid"][None] -= part
        if not charge["paid"].get(None):
            charge["paid"].pop(None, None)

    def settle(self) -> None:
        """C6: oldest first; of what is final only day and app are known."""

        def age(c: dict[str, Any]) -> tuple[Any, ...]:
            if self.final(c["start"]):
                return (0, c["start"] // DAY, c["app"], c["start"], c["unit"])
            return (1, c["start"], c["unit"])

        for charge in sorted([*self.charges.values(), *self.old], key=age):
            if charge["paid"].get(None):
                self.pay(charge)

    def command(self, command: Command) -> None:
        seen = self.commands.setdefault(command.command_id, [])
        if command in seen or command in self.strangers:
            return
        seen.append(command)
        unknown = command.actor.role == "user" and command.actor.name not in self.people
        if len(seen) > 1 or not self.allowed(command):
            if unknown:  # of nobody's house: the id stays free
                seen.remove(command)
                self.strangers.append(command)
            self.refused += 1
            self.refuses = True
            return
        body = command.body
        if isinstance(body, CreateWorkspace):
            self.create(command.time_us)
            self.people[body.owner] = "owner"
            self.emails[body.owner] = body.email
        elif isinstance(body, AddFunds):
            self.payments.add(body.payment_id)
            self.give(f"payment/{body.payment_id}", "paid", body.amount_micros, command.time_us, body.app)
        elif isinstance(body, GrantCredit):
            self.give(f"grant/{command.command_id}", "free", body.amount_micros, command.time_us, None)
        else:
            self.command_id, self.time, self.actor = command.command_id, command.time_us, command.actor.name
            self.manage(body, max(command.time_us, self.newest + 1))
        self.settle()

    def manage(self, body: Any, at: int) -> None:
        match body:
            case c.MoveCredit(amount, source, target):
                for grant in sorted(self.grants, key=lambda g: (g["at"], g["id"])):
                    if grant["credit"] == "paid" and grant["app"] == source:
                        part = min(amount, self.left(grant))
                        self.moves.append((grant["id"], -part))
                        amount -= part
                self.give(f"move/{self.command_id}", "paid", body.amount_micros, self.time, target)
            case c.SetAutoPayment():
                mine = {name: fee for name, fee in self.fees.items() if name.startswith("acme/auto/")}
                flying = [name for name, fee in mine.items() if fee["status"] == "open"]
                self.auto = {"set": body, "failed": [], "open": flying[-1] if flying else None}
                self.auto["asked"] = [fee["due"] // DAY for fee in mine.values()]
            case c.StopAutoPayment():
                self.auto = None
            case c.CreateApp(app):
                self.apps[app] = {"published": [], "plans": [], "tried": False, "new": True}
                self.apps[app] |= {"owner": self.actor, "team": {}}
            case c.PublishApp(app) | c.UnpublishApp(app):
                history = [entry for entry in self.apps[app]["published"] if entry[0] < at]
                self.apps[app]["published"] = [*history, (at, isinstance(body, c.PublishApp))]
            case c.StartTrial(app):
                self.put_on(app, at, at + DAY * self.rules["trial_days"], "trial", None)
                self.apps[app]["tried"] = True
                self.subs.pop(app, None)
            case c.Subscribe(app) if self.resumes(body, at):
                self.current(app, at)[1] = self.subs[app]["until"] = NEVER
                self.subs[app]["cancelled"] = False
            case c.Subscribe(app, plan, period):
                self.put_on(app, at, NEVER, plan, period)
                self.subs[app] = {"since": at, "period": period, "asked": at, "until": NEVER, "unpaid": None}
                self.ask(app, at)
            case c.CancelPlan(app):
                since, _, _, period = self.current(app, at)
                self.end(app, self.term(since, period, at)[1] if period else at)
                if app in self.subs:
                    self.subs[app]["cancelled"] = True
            case c.ApproveUpgrade(contract):
                for app in self.apps:
                    if any(until > at for _, until, _, _ in self.apps[app]["plans"]):
                        self.end(app, at)
                if self.brought(contract) and self.runs(SUPPORT, at):
                    self.end(SUPPORT, at)
                self.cut(self.contracts, at)
                self.contracts.append([at, contract.ends_us or NEVER, contract])
                until = contract.ends_us or NEVER
                self.subs[""] = {"since": at, "period": contract.term, "asked": at, "until": until, "unpaid": None}
                self.ask("", at)
                self.wish = False
            case c.EndContract():
                self.end("", at)
            case c.SubscribeSupport() if self.runs(SUPPORT, at):
                self.subs[SUPPORT] |= {"until": NEVER, "cancelled": False}
            case c.SubscribeSupport():
                self.subs[SUPPORT] = {"since": at, "period": "monthly", "asked": at, "until": NEVER, "unpaid": None}
                self.subs[SUPPORT]["fee"] = body.monthly_micros or self.rules["support"]
                self.ask(SUPPORT, at)
            case c.CancelSupport():
                self.end(SUPPORT, self.term(self.subs[SUPPORT]["since"], "monthly", at)[1])
                self.subs[SUPPORT]["cancelled"] = True
            case c.SetAlerts(amounts, percents):
                self.thresholds = {f"{amount} dollars": ("amount", amount) for amount in amounts}
                self.thresholds |= {f"{percent} %": ("percent", percent) for percent in percents}
            case c.InviteUser(user, email) | c.AssignRole(user, _, email):
                self.people[user] = body.role if isinstance(body, c.AssignRole) else "invited"
                if email:
                    self.emails[user] = email
            case c.AcceptInvitation():
                self.people[self.actor] = "member"
            case c.SetEmail(user, email):
                self.emails[user] = email
            case c.RemoveUser(user):
                self.people.pop(user)
                self.emails.pop(user, None)
                for known in self.apps.values():
                    known["team"].pop(user, None)
            case c.InviteCollaborator(app, user, role):
                self.apps[app]["team"][user] = role
            case c.RemoveCollaborator(app, user):
                self.apps[app]["team"].pop(user)
            case c.TransferApp(app, user):
                self.apps[app]["owner"] = user
                self.apps[app]["team"].pop(user, None)
            case c.AssignLicence(product) | c.RemoveLicence(product):
                self.announced.append(("licence_changed", ""))
                self.licences ^= {product}
            case c.RequestUpgrade():
                self.wish = True
            case c.DeclineUpgrade():
                self.wish = False
            case c.AdmitLate():
                self.late |= {(event.partition, event.offset) for event in body.events}
                self.correct(body)
            case c.RequestFunds(amount, _, app):
                name = f"acme/funds/{self.command_id}"
                self.fees[name] = {"subject": None, "amount": amount, "due": self.time, "status": "open"}
                self.fees[name]["wallet"] = app
            case c.SettlePayment(payment) | c.FailPayment(payment):
                fee = self.fees[payment]
                fee["status"] = "settled" if isinstance(body, c.SettlePayment) else "failed"
                if fee["status"] == "failed":
                    self.alerts.append(("payment_failed", "", self.available()))
                    if self.auto and self.auto["open"] == payment:
                        self.auto |= {"open": None, "failed": [*self.auto["failed"], self.time]}
                elif fee["subject"] is None:
                    self.give(f"payment/{payment}", "paid", fee["amount"], self.time, fee.get("wallet"))
                    if self.auto and payment.startswith("acme/auto/"):
                        flying = self.auto["open"]
                        self.auto |= {"open": None if flying == payment else flying, "failed": []}
                elif self.subs.get(fee["subject"], {}).get("unpaid") == payment:
                    self.subs[fee["subject"]]["unpaid"] = None

    def correct(self, body: Any) -> None:
        """U6: what goes is given back, places that come free go on, what comes is paid."""
        free: dict[str, int] = {}
        coming: list[Any] = []
        paid: list[tuple[Any, tuple[str, int, str, str]]] = []
        for late in sorted(body.units, key=lambda late: (late.start_us, late.unit_id)):
            held = self.charge_of(late) if late.charge else None
            spoken = late.stays_billable or late.billable_delta == 1
            if held is not None and not self.must_go(body.app, late, held):
                continue
            if held is not None:
                self.charges.pop(late.unit_id, None)
                self.old = [x for x in self.old if x is not held]
                self.ghosts.append(held)
                self.give_back(held)
                if held["covered"] == "included":
                    free[held["pool"]] = free.get(held["pool"], 0) + 1
            coming += [late] if spoken else []
        for late in coming:
            wanted = self.cost(body.app, late.kind, late.start_us, None)
            if wanted and wanted[2] == "included":
                self.post(body.app, late.unit_id, late.start_us, wanted)
                free[wanted[3]] = free.get(wanted[3], 0) - 1
            elif wanted:
                paid.append((late, wanted))
        for pool in sorted(free):
            for _ in range(free[pool]):
                self.promote(pool)
        for late, wanted in paid:
            self.post(body.app, late.unit_id, late.start_us, wanted)

    def charge_of(self, late: Any) -> dict[str, Any] | None:
        """The charge that is told of; a history may use the id of a unit again that was charged long ago."""
        found = [x for x in [*self.old, *self.charges.values()] if x["unit"] == late.unit_id]
        told = [x for x in found if late.charge and self.is_as_posted(late.charge, x)]
        return next(iter([*reversed(told), *reversed(found)]), None)

    def must_go(self, app: str, late: Any, held: dict[str, Any]) -> bool:
        """It is billed no more, or elsewhere at another price, or a grant that paid was over by then."""
        if not late.stays_billable:
            return True
        was, now = self.full_cost(app, late.kind, late.from_us), self.full_cost(app, late.kind, late.start_us)
        return was != now or any(g["expires"] <= late.start_us and g["id"] in held["paid"] for g in self.grants)

    def may_change(self, app: str, late: Any) -> bool:
        """U6: whether what is told of a unit can be, and is what it cost."""
        was = late.start_us if late.from_us is None else late.from_us
        held, told = self.charge_of(late), late.charge
        if not self.final(max(late.start_us, was)) or (held is not None and not self.final(held["start"])):
            return False
        moved, deltas = late.from_us is not None, (late.delta, late.billable_delta)
        if late.stays_billable and deltas != (0, 0):
            return False
        if deltas not in ((0, 0), (1, 1), (1, 0), (-1, -1), (-1, 0), (0, 1), (0, -1)) or (moved and late.delta):
            return False
        if (deltas == (0, 0) and not moved) or was // DAY != late.start_us // DAY:
            return False
        if self.is_forgotten(self.plan(app, late.start_us)[2]) or self.is_forgotten(told.pool if told else ""):
            return False
        if late.stays_billable or late.billable_delta == -1:
            return self.is_told(told, held, self.full_cost(app, late.kind, was))
        return told is None

    def is_told(self, told: Any, held: dict[str, Any] | None, full: Any) -> bool:
        """Whether a charge is told as it was posted, and was paid at once; or there is none, and none is due."""
        if told is None or held is None:
            return told is None and held is None and full is None
        return not held["owed"] and self.is_as_posted(told, held)

    def is_as_posted(self, told: Any, held: dict[str, Any]) -> bool:
        paid = {"welcome" if p.grant_id == "acme/welcome" else p.grant_id[5:]: p.paid_micros for p in told.parts}
        same = tuple(held[k] for k in ("plan", "price", "covered", "pool"))
        posted = (told.plan, told.price_micros, told.covered, told.pool)
        return same == posted and paid == held["paid"]

    def post(self, app: str, unit_id: str, start: int, wanted: tuple[str, int, str, str]) -> None:
        if app not in self.apps:
            self.apps[app] = {"published": [(-NEVER, True)], "plans": [], "tried": False, "new": False}
            self.apps[app] |= {"owner": "", "team": {}}
        charge: dict[str, Any] = {"app": app, "start": start, "unit": unit_id}
        charge |= dict(zip(("plan", "price", "covered", "pool"), wanted, strict=True))
        charge["paid"] = {None: wanted[1]}
        if charge["covered"] == "included":
            scope, _, begin = charge["pool"].rpartition("@")
            self.terms.add((scope, int(begin)))
        self.pay(charge)
        charge["owed"] = None in charge["paid"]
        if self.final(start):
            self.old.append(charge)
        else:
            self.charges[unit_id] = charge

    def top_up(self, at: int, sequence: int) -> None:
        """C10, at the end of whatever left a record: at most one in flight, so many a day, a pause after failures."""
        auto = self.auto
        shared = sum(self.left(g) for g in self.grants if g["credit"] == "paid" and g["app"] is None)
        if auto is None or auto["open"] or shared >= auto["set"].below_micros:
            return
        failed, today = auto["failed"], [day for day in auto["asked"] if day >= at // DAY]
        if len(failed) > auto["set"].retries or len(today) >= auto["set"].maximum_per_day:
            return
        if failed and at < failed[-1] + len(failed) * self.rules["pause"]:
            return
        name = f"acme/auto/{sequence}"
        self.fees[name] = {"subject": None, "amount": auto["set"].amount_micros, "due": at, "status": "open"}
        auto["open"] = name
        auto["asked"].append(at // DAY)

    def current(self, app: str, at: int) -> Any:
        return next((p for p in reversed(self.apps[app]["plans"]) if p[0] <= at < p[1]), None)

    def cut(self, spans: list[list[Any]], at: int) -> None:
        spans[:] = [span for span in spans if span[0] < at]
        for span in spans:
            span[1] = min(span[1], at)

    def put_on(self, app: str, at: int, until: int, plan: str, period: str | None) -> None:
        self.cut(self.apps[app]["plans"], at)
        self.apps[app]["plans"].append([at, until, plan, period])

    def end(self, subject: str, at: int) -> None:
        if subject != SUPPORT:
            self.cut(self.apps[subject]["plans"] if subject else self.contracts, at)
        if subject in self.subs:
            self.subs[subject] |= {"until": min(at, self.subs[subject]["until"]), "cancelled": False}

    def resumes(self, body: Any, at: int) -> bool:
        """P8: what the app is on was cancelled, and has not ended."""
        span = self.current(body.app, at)
        return bool(span and span[2:] == [body.plan, body.period] and self.subs[body.app].get("cancelled"))

    def ask(self, subject: str, due: int) -> None:
        amount = self.fee(subject, due)
        self.subs[subject]["asked"] = due
        if amount:
            what = {"": "contract", SUPPORT: "support"}.get(subject, f"app/{subject}")
            first = name = f"acme/fee/{what}/{due}"
            while name in self.fees:
                name = f"{first}/{int(name.removeprefix(first).strip('/') or 1) + 1}"
            self.fees[name] = {"subject": subject, "amount": amount, "due": due, "status": "open"}
            self.subs[subject]["unpaid"] = name

    def fee(self, subject: str, due: int) -> int:
        amount: int = self.subs[subject].get("fee", self.rules["subscription"][0])
        if not subject:
            amount = next(x[2] for x in reversed(self.contracts) if x[0] <= due < x[1]).price_micros
        return amount

    def runs(self, subject: str, at: int) -> bool:
        return subject in self.subs and self.subs[subject]["since"] <= at < self.subs[subject]["until"]

    def brought(self, contract: Any) -> str:
        """P7: the support that a contract brings beyond Basic."""
        return "" if contract.support_plan == "basic" else contract.support_plan or "enterprise"

    def renew(self) -> None:
        for subject, sub in self.subs.items():
            while True:
                if sub["unpaid"]:
                    deadline = self.fees[sub["unpaid"]]["due"] + DAY * self.rules["grace"]
                    if deadline <= self.now and deadline < sub["until"]:
                        self.end(subject, max(deadline, self.newest + 1))
                        sub["unpaid"] = None
                    break
                due = self.term(sub["since"], sub["period"], sub["asked"])[1]
                if due > self.now or due >= sub["until"]:
                    break
                self.ask(subject, due)

    def allowed(self, command: Command) -> bool:
        body, role, name = command.body, command.actor.role, command.actor.name
        if role == "user":
            if not self.may_as_known(body, name):
                return False
        elif role not in MAY[type(body)]:
            return False
        if role not in ("operator", "system", "user") and self.people:
            is_owner = self.people.get(name) == "owner"
            if name not in self.people or (role == "workspace_owner" and not is_owner):
                return False
            if self.people[name] == "invited" and not isinstance(body, c.AcceptInvitation):
                return False
        named = self.apps.get(getattr(body, "app", None) or "")
        if role == "app_owner" and named and named["owner"] not in ("", name):
            return False
        if isinstance(body, CreateWorkspace):
            return not self.exists
        if not isinstance(body, AddFunds | GrantCredit):
            return self.exists and self.can(command, max(command.time_us, self.newest + 1))
        if isinstance(body, AddFunds):
            fits = self.rules["least"] <= body.amount_micros <= self.rules["most"]
            return self.exists and fits and body.payment_id not in self.payments
        return self.exists

    def may_as_known(self, body: Any, name: str) -> bool:
        """W2: a person who claims no role has those that are known; funds are no matter of a person's word."""
        if not self.exists:
            return isinstance(body, CreateWorkspace) and body.owner == name
        named = self.apps.get(getattr(body, "app", None) or "")
        held = {"collaborator", "workspace_owner" if self.people.get(name) == "owner" else ""}
        held |= {"app_owner"} if named and named["owner"] == name else set()
        if self.people.get(name, "invited") == "invited":
            return isinstance(body, c.AcceptInvitation) and name in self.people
        return bool(held & set(MAY[type(body)])) and not isinstance(body, AddFunds)

    def can(self, command: Command, at: int) -> bool:
        body = command.body
        app = getattr(body, "app", None)
        covered = any(since <= at < until for since, until, _ in self.contracts)
        if isinstance(body, c.CreateApp):
            licensed = set(body.products) <= (self.licences or PRODUCTS)
            return app not in self.apps and licensed and len(self.apps) < self.most_apps(at)
        if app is not None and app not in self.apps and not isinstance(body, c.AdmitLate):
            return False
        match body:
            case c.PublishApp():
                return not self.is_published(body.app, at)
            case c.UnpublishApp():
                return self.is_published(body.app, at)
            case c.StartTrial():
                known = self.apps[body.app]
                return known["new"] and not known["tried"] and not covered and body.app not in self.subs
            case c.Subscribe():
                span = self.current(body.app, at)
                again = span is not None and span[2:] == [body.plan, body.period]
                return not covered and (not again or self.resumes(body, at))
            case c.CancelPlan():
                span = self.current(body.app, at)
                return span is not None and (span[3] is None or span[1] > self.term(span[0], span[3], at)[1])
            case c.MoveCredit(amount, source, target):
                mine = [g for g in self.grants if g["credit"] == "paid" and g["app"] == source]
                return source != target and amount <= sum(map(self.left, mine))
            case c.SetAutoPayment():
                by_hand = [fee for fee in self.fees.values() if "wallet" in fee and fee["status"] == "settled"]
                fits = self.rules["least"] <= body.amount_micros <= self.rules["most"]
                return body.method != "wire" and bool(self.payments or by_hand) and fits
            case c.AdmitLate():
                places = [(event.partition, event.offset) for event in body.events]
                units = [(late.kind, late.unit_id) for late in body.units]
                if self.late & set(places) or body.after != len(self.late):
                    return False
                if len(set(places)) < len(places) or len(set(units)) < len(units):
                    return False
                if body.until_us and body.until_us >= self.complete:
                    return False
                return all(self.may_change(body.app, late) for late in body.units)
            case c.RequestFunds(amount, _, app):
                if command.actor.role == "app_owner" and app is None:
                    return False
                if any("wallet" in f and f["wallet"] == app and f["status"] == "open" for f in self.fees.values()):
                    return False
                return bool(self.rules["least"] <= amount <= self.rules["most"])
            case c.StopAutoPayment():
                return self.auto is not None
            case c.SubscribeSupport():
                if any(since <= at < until and self.brought(x) for since, until, x in self.contracts):
                    return False
                agreed, least = body.monthly_micros, self.rules["support"]
                if agreed is not None and (command.actor.role != "operator" or agreed < least):
                    return False
                if not self.runs(SUPPORT, at):
                    return True
                return self.subs[SUPPORT].get("cancelled", False) and agreed in (None, self.subs[SUPPORT]["fee"])
            case c.CancelSupport():
                return self.runs(SUPPORT, at) and not self.subs[SUPPORT].get("cancelled")
            case c.RequestUpgrade():
                return not self.wish and not covered
            case c.DeclineUpgrade():
                return self.wish
            case c.ApproveUpgrade(contract):
                return contract.ends_us is None or contract.ends_us > at
            case c.EndContract():
                return covered
            case c.SettlePayment() | c.FailPayment():
                status = self.fees.get(body.payment_id, {}).get("status", "settled")
                return status == "open" or (status == "failed" and isinstance(body, c.SettlePayment))
        return self.can_of_people(command, at)

    def is_forgotten(self, pool: str) -> bool:
        """Three newer terms of the same have had included units, the next one over 92 days before the newest, and this
        one is not known to have had any."""
        scope, _, start = pool.rpartition("@")
        terms = sorted(term for of, term in self.terms if of == scope)
        after = dict(pairwise(terms))
        known = [term for term in terms if term in terms[-3:] or after[term] >= terms[-1] - 92 * DAY]
        return bool(start) and int(start) not in known and len(known) >= 3 and int(start) < known[0]

    def can_of_people(self, command: Command, at: int) -> bool:
        """W1, W2, P10, A3."""
        body, name, role = command.body, command.actor.name, command.actor.role
        joined = {user for user, held in self.people.items() if held != "invited"}
        owners = [user for user, held in self.people.items() if held == "owner"]
        match body:
            case c.InviteUser():
                return body.user not in self.people and "@" in (body.email or "@")
            case c.AcceptInvitation():
                return self.people.get(name) == "invited"
            case c.SetEmail(user, email):
                rules = role in ("operator", "workspace_owner") or (role == "user" and self.people.get(name) == "owner")
                if user not in self.people or (not rules and name != user):
                    return False
                return email != self.emails.get(user, "") and "@" in (email or "@")
            case c.AssignRole(user, wanted, email):
                first = role == "operator" and not self.people
                if user not in joined and not first:
                    return False
                return self.people.get(user) != wanted and owners != [user] and "@" in (email or "@")
            case c.RemoveUser(user):
                owns = any(app["owner"] == user for app in self.apps.values())
                return user in self.people and not owns and owners != [user]
            case c.InviteCollaborator(app, user, wanted):
                known = self.apps[app]
                if user not in joined or user == known["owner"] or known["team"].get(user) == wanted:
                    return False
                return user in known["team"] or len(known["team"]) < self.limits(app, at)["collaborators_per_app"]
            case c.RemoveCollaborator(app, user):
                return user in self.apps[app]["team"]
            case c.TransferApp(app, user):
                return user in joined and self.apps[app]["owner"] != user
            case c.AssignLicence(product) | c.RemoveLicence(product):
                return product in PRODUCTS and (product in self.licences) == isinstance(body, c.RemoveLicence)
        return True

    # What a reader is shown.

    def pots(self) -> tuple[int, int, int]:
        """Free, shared paid, mapped paid credit."""
        free = sum(self.left(g) for g in self.grants if g["credit"] == "free")
        shared = sum(self.left(g) for g in self.grants if g["credit"] == "paid" and g["app"] is None)
        return free, shared, sum(self.left(g) for g in self.grants if g["app"])

    def payments_asked(self) -> dict[str, tuple[str, int, int, str]]:
        """C10, P8."""
        names = {None: "credit", "": "contract", SUPPORT: "support"}
        return {
            name: (
                f"credit/{fee['wallet']}" if fee.get("wallet") else names.get(fee["subject"], f"app/{fee['subject']}"),
                fee["amount"], fee["due"], fee["status"],
            )
            for name, fee in self.fees.items()
        }  # fmt: skip

    def subscriptions(self) -> dict[str, tuple[int, int, str]]:
        """P8: since when, until when, and the fee that is open."""
        names = {"": "contract", SUPPORT: "support"}
        return {
            names.get(subject, f"app/{subject}"): (sub["since"], sub["until"], sub["unpaid"] or "")
            for subject, sub in self.subs.items()
        }

    def buttons(self) -> dict[str, str]:
        """P10."""
        shown = {"automation_ai": "try_now", "search_ai": "contact_us", "contact_center_ai": "try_now"}
        shown["agent_ai"] = "contact_us"
        return {product: "create_new" if product in self.licences else shown[product] for product in shown}

    def limits(self, app: str, at: int) -> dict[str, int]:
        """P6: usage limits of the plan in force."""
        limits = dict(self.rules["limits"][self.plan(app, at)[0]])
        for since, until, contract in self.contracts:
            if since <= at < until:
                limits |= contract.usage_limits
        return limits

    def most_apps(self, at: int) -> int:
        return max(self.limits(app, at)["apps"] for app in ("nobody", *self.apps))

    def requests(self, app: str, at: int) -> int:
        """E3."""
        plan, _, pool, included, past = self.plan(app, at)
        taken = sum(x["pool"] == pool and x["covered"] == "included" for x in [*self.charges.values(), *self.old])
        credit = sum(self.left(g) for g in self.grants if g["expires"] > self.now and g["app"] in (None, app))
        left = max(0, included - taken) if pool else 0
        return left + (credit // past if past and plan != "enterprise" else 0)

    def status(self) -> str:
        """C11."""
        free = sum(self.left(g) for g in self.grants if g["credit"] == "free" and g["expires"] > self.now)
        if not self.available():
            return "inactive"
        return "low_balance" if self.holding else "using_free_credits" if free else "sufficient_funds"

    def burning(self, at: int) -> tuple[int, int, int | None]:
        """C11."""
        week = range(at // DAY - 7, at // DAY)
        mine = [x for x in [*self.charges.values(), *self.old] if x["covered"] != "unpublished"]
        mine = [x for x in mine if x["start"] // DAY in week]
        spent = sum(x["price"] for x in mine)
        return len(mine) // 7, spent // 7, (self.available() * 7 // spent if spent else None)

    def billed(self, app: str) -> list[dict[str, Any]]:
        everything = [*self.charges.values(), *self.old, *self.ghosts]
        return [x for x in everything if x["app"] == app and x["covered"] in ("", "included")]

    def inactive(self, app: str, at: int) -> bool:
        """E4."""
        return not any(x["start"] // DAY >= at // DAY - 30 for x in self.billed(app))

    def paid(self, app: str) -> bool:
        """E4."""
        bought = {g["id"]: g for g in self.grants if g["credit"] == "paid"}
        mapped = any(g["app"] == app and self.left(g) for g in bought.values())
        return mapped or any(name in bought for x in self.billed(app) for name in x["paid"])

    def support(self, at: int, app: str | None = None) -> str:
        """P7."""
        for since, until, contract in self.contracts:
            if since <= at < until and self.brought(contract):
                return self.brought(contract)
        if self.runs(SUPPORT, at):
            return "standard"
        apps = self.apps if app is None else (app,)
        return "basic" if any(self.is_published(name, at) for name in apps) else ""

    def recipients(self, app: str | None) -> list[tuple[str, str, str]]:
        """A3."""
        found = [("workspace_owner", user) for user in sorted(self.people) if self.people[user] == "owner"]
        owner = self.apps[app]["owner"] if app else ""
        found += [("app_owner", owner)] if owner else []
        rows = [(role, user, self.emails.get(user) or (user if "@" in user else "")) for role, user in found]
        return [row for at, row in enumerate(rows) if row[2] and row[2] not in [other[2] for other in rows[:at]]]

    def ends(self, app: str, at: int) -> int | None:
        """When the term of what the app is on ends."""
        for since, until, contract in reversed(self.contracts):
            if since <= at < until:
                until = min(until, self.term(since, contract.term, at)[1])
                return int(until)
        span = self.current(app, at)
        if span is None:
            return None
        end: int = span[1]
        if span[3] is None:
            return end
        return min(end, self.term(span[0], span[3], at)[1])

    def announce(self, at: int) -> None:
        """A1: contract usage once a term and percentage, renewals once a term."""
        for since, until, contract in self.contracts:
            if since <= at < until and contract.allowed_requests:
                pool = self.plan("nobody", at)[2]
                everything = [*self.charges.values(), *self.old]
                taken = sum(x["pool"] == pool and x["covered"] == "included" for x in everything)
                for percent in (80, 100):
                    if taken * 100 >= percent * contract.allowed_requests and (pool, percent) not in self.usage_told:
                        self.usage_told.add((pool, percent))
                        self.announced.append(("contract_usage", ""))
        for subject, sub in self.subs.items():
            due = self.term(sub["since"], sub["period"], max(sub["asked"], self.now))[1]
            soon = due < sub["until"] and due - 7 * DAY <= self.now
            if soon and (subject, due) not in self.renewals_told and self.fee(subject, due):
                self.renewals_told.add((subject, due))
                self.announced.append(("renewal_due", "" if subject == SUPPORT else subject))

    def watermark(self, mark: Watermark) -> None:
        now, complete = self.reports.get(mark.origin.partition, (-NEVER, -NEVER))
        self.reports[mark.origin.partition] = (max(now, mark.now_us), max(complete, mark.complete_us))
        if set(self.reports) != set(range(mark.source_partitions)):
            return
        before, was = self.complete, (self.now, self.complete)
        self.now = max(self.now, min(now for now, _ in self.reports.values()))
        self.complete = max(self.complete, min(complete for _, complete in self.reports.values()))
        if (self.now, self.complete) == was:
            return
        self.renew()
        dying = [(g["expires"], g["id"], g, self.left(g)) for g in self.grants]
        dying = sorted(d for d in dying if before < d[0] <= self.complete and d[3])
        left_in_use = self.available()
        for _, name, grant, amount in dying:
            self.lapse(grant, amount)
            self.alerts.append(("free_credit_lapsed", name, left_in_use))
        for grant in sorted(self.grants, key=lambda g: (g["expires"], g["id"])):
            passed = [d for d in self.rules["warn"] if grant["expires"] - d * DAY <= self.now < grant["expires"]]
            if passed and not any(d <= min(passed) for d in grant["warned"]):
                grant["warned"] += passed
                if self.left(grant):
                    self.alerts.append(("free_credit_expiring", grant["id"], left_in_use))
