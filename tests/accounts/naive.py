"""A second model of an account, written to be obviously right and nothing else: plain dicts and lists, whole history.

It forgets nothing and keeps no sums: what is left of a grant is the sum of all its moves, every order is a sort over
everything. It shares no code with `streams.accounts`.
"""

from __future__ import annotations

from typing import Any

from schemas.commands import AddFunds, Command, CreateWorkspace, GrantCredit
from schemas.units import Unit, Watermark

NEVER = 10**18
FIVE_MINUTES = 300_000_000
DAY = 86_400_000_000


class Naive:
    """One workspace, fed with every fact in the order of arrival. Amounts in micro-dollars."""

    def __init__(self, rules: dict[str, Any]) -> None:
        self.rules = rules
        self.exists = False
        self.grants: list[dict[str, Any]] = []
        self.moves: list[tuple[str, int]] = []
        self.charges: dict[str, dict[str, Any]] = {}
        self.old: list[dict[str, Any]] = []
        self.commands: dict[str, list[Command]] = {}
        self.payments: set[str] = set()
        self.marks: dict[int, tuple[int, int]] = {}
        self.reports: dict[int, tuple[int, int]] = {}
        self.now = self.complete = -NEVER
        self.lapsed = 0
        self.refused = 0
        self.set_aside = 0
        self.alerts: list[tuple[str, str, int]] = []

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
        was_low, was_zero, existed = self.available() < self.rules["low"], self.available() == 0, self.exists
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
        left = self.available()
        if left < self.rules["low"] and not (existed and was_low):
            self.alerts.append(("low_balance", "", left))
        if left == 0 and not (existed and was_zero):
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
        if unit.change == "closed":
            return
        held = self.charges.get(unit.unit_id)
        if held is not None and self.final(held["start"]):
            self.old.append(self.charges.pop(unit.unit_id))
            held = None
        full = max((since, price) for since, price in self.rules["prices"] if since <= unit.start_us)[1]
        full = full if unit.kind == "conversation" else 0
        wanted = full if unit.billable and unit.change in ("opened", "revised") else 0
        if held is None and self.final(unit.start_us):
            if unit.billable_delta == -1 and full:
                self.set_aside += 1
                return
            if unit.billable_delta != 1:
                return
        if held is not None and held["price"] == wanted and not self.must_post_again(held, unit.start_us):
            if not self.final(unit.start_us):
                held["start"] = unit.start_us
            return
        if held is not None:
            del self.charges[unit.unit_id]
            for name, amount in held["paid"].items():
                if name is not None:
                    self.moves.append((name, amount))
                    grant = next(g for g in self.grants if g["id"] == name)
                    if grant["expires"] <= self.complete:
                        self.lapse(grant, amount)
        if wanted:
            charge: dict[str, Any] = {"app": unit.app, "start": unit.start_us, "unit": unit.unit_id, "price": wanted}
            charge["paid"] = {None: wanted}
            self.pay(charge)
            if self.final(unit.start_us):
                self.old.append(charge)
            else:
                self.charges[unit.unit_id] = charge
        self.settle()

    def must_post_again(self, held: dict[str, Any], start: int) -> bool:
        if start == held["start"]:
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
        if command in seen:
            return
        seen.append(command)
        if len(seen) > 1 or not self.allowed(command):
            self.refused += 1
            return
        body = command.body
        if isinstance(body, CreateWorkspace):
            self.create(command.time_us)
        elif isinstance(body, AddFunds):
            self.payments.add(body.payment_id)
            self.give(f"payment/{body.payment_id}", "paid", body.amount_micros, command.time_us, body.app)
        else:
            self.give(f"grant/{command.command_id}", "free", body.amount_micros, command.time_us, None)
        self.settle()

    def allowed(self, command: Command) -> bool:
        body, role = command.body, command.actor.role
        if role in ("app_owner", "collaborator") or (isinstance(body, GrantCredit) and role != "operator"):
            return False
        if isinstance(body, CreateWorkspace):
            return not self.exists
        if isinstance(body, AddFunds):
            fits = self.rules["least"] <= body.amount_micros <= self.rules["most"]
            return self.exists and fits and body.payment_id not in self.payments
        return self.exists

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
