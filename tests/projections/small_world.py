"""A small consistent history, worked out by hand: what came in, and what METER and ACCOUNTS say of it.

Workspace `acme`, at the turn of the year 2026 and in February: two live conversations (one of 20 minutes, so two
sessions, one in either year), one that the app began and nobody answered, one of a developer, a notification, a human
agent's message, a repeat, a late event, one from the future, and a record that is no event.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Literal

import msgspec

from schemas import topics
from schemas.alerts import Alert
from schemas.aside import SetAside
from schemas.commands import Actor, Command, CreateWorkspace
from schemas.interactions import NOTIFICATION, REROUTED_HEADER
from schemas.ledger import (
    GENESIS_HASH,
    Balances,
    Charge,
    EntryKind,
    GrantOpened,
    LedgerRecord,
    Line,
    encode_ledger,
    seal,
)
from schemas.units import Origin, Unit, UnitKind, Watermark
from tests.projections.fake_source import Log, home_of, message, tick

MINUTE = 60_000_000
DAY = 24 * 60 * MINUTE
EVE = 1_767_225_000_000_000  # 2025-12-31T23:50:00Z
FEBRUARY = EVE + 40 * DAY
PRICE = 200_000
GIVEN = 500_000_000
GRANT = "acme/welcome"
Environment = Literal["live", "developer", "test"]
_encode = msgspec.json.Encoder().encode


class World:
    """Builds the log; `user` is the one end user, whose partition is `home`."""

    def __init__(self) -> None:
        self.log = Log()
        self.workspace = "acme"
        self.user = "ann"
        self.home = home_of(self.user)
        self._outputs = 0
        self._sequence = 0
        self._hash = GENESIS_HASH
        self._accounts: Counter[str] = Counter()
        self._grants: dict[str, GrantOpened] = {}

    def event(self, time_us: int, id: str, append_us: int | None = None, **fields: str) -> int:
        """Everything lies in one partition; what belongs elsewhere says that it was re-routed there."""
        value = message(time_us, id=id, user=self.user, **fields)
        home = home_of(self.user, app=fields.get("app", "bot"), channel=fields.get("channel", "web"))
        headers = () if home == self.home else ((REROUTED_HEADER, b"0:0"),)
        return self.log.append(topics.INTERACTIONS, self.home, value, (append_us or time_us) // 1000, headers)

    def unit(
        self,
        offset: int,
        kind: UnitKind,
        start_us: int,
        *,
        billable: bool,
        environment: Environment = "live",
        part_of: Unit | None = None,
        app: str = "bot",
        channel: str = "web",
    ) -> Unit:
        """A unit as opened by the record at `offset`."""
        self._outputs += 1
        origin = Origin(topics.INTERACTIONS, self.home, offset, self._outputs)
        unit_id = f"{kind[0]}{self.home}-{offset}-{self._outputs}"
        place = (self.workspace, app, channel, self.user, environment)
        unit = Unit(
            origin, unit_id, kind, "opened", 1, *place, start_us, billable, 1, int(billable),
            part_of.unit_id if part_of else None,
        )  # fmt: skip
        self.inbox(_encode(unit))
        return unit

    def inbox(self, value: bytes) -> int:
        return self.log.append(topics.INBOX, 0, value)

    def entry(
        self,
        kind: EntryKind,
        time_us: int,
        lines: tuple[tuple[str, int], ...],
        charges: tuple[Charge, ...] = (),
        grants: tuple[GrantOpened, ...] = (),
    ) -> LedgerRecord:
        """A ledger record; lines are (account, micros), balances follow."""
        self._sequence += 1
        posted = []
        for account, micros in lines:
            self._accounts[account] += micros
            posted.append(Line(account, micros, self._accounts[account]))
        self._grants.update((f"grant:{grant.grant_id}", grant) for grant in grants)
        origin, cause = Origin(topics.INBOX, 0, self._sequence - 1, 0), f"cause {self._sequence}"
        chain = (tuple(posted), self._balances(), self._hash)
        bare = LedgerRecord(self.workspace, self._sequence, kind, time_us, origin, cause, *chain)
        record = seal(msgspec.structs.replace(bare, charges=charges, grants=grants))
        self._hash = record.hash
        self.log.append(topics.LEDGER, 0, encode_ledger(record))
        return record

    def _balances(self) -> Balances:
        held = [(grant, self._accounts[account]) for account, grant in self._grants.items()]
        free = sum(left for grant, left in held if grant.credit == "free")
        shared = sum(left for grant, left in held if grant.credit == "paid" and grant.app is None)
        due = -sum(left for account, left in self._accounts.items() if account.startswith("due:"))
        return Balances(free, shared, sum(left for _, left in held) - free - shared, due)

    def charge(self, unit: Unit, parts: tuple[tuple[str, int], ...] = ((f"grant:{GRANT}", PRICE),)) -> LedgerRecord:
        """A unit's charge, and which accounts pay which part of it."""
        charge = Charge(unit.unit_id, unit.kind, unit.app, unit.channel, unit.start_us, PRICE, "standard")
        lines = ((f"usage:{unit.kind}", PRICE), *((account, -part) for account, part in parts))
        return self.entry("charge", unit.start_us, lines, charges=(charge,))

    def aside(self, topic: str, offset: int, reason: str, time_us: int | None) -> None:
        origin = Origin(topics.INTERACTIONS, self.home, offset, 0)
        digest = hashlib.sha256(b"").hexdigest()
        record = SetAside(origin, reason, "time", "", "U6", "", 0, 0, digest, "", time_us=time_us)
        self.log.append(topic, self.home, _encode(record))


def small_world() -> World:
    """The whole history."""
    world = World()
    creation = Command("cmd-1", "acme", EVE - DAY, Actor("operator", "olga"), CreateWorkspace("wanda"))
    world.inbox(_encode(creation))
    grant = GrantOpened(GRANT, "free", GIVEN, EVE - DAY, EVE + 89 * DAY)
    world.entry("workspace_created", EVE - DAY, (("issued:free", -GIVEN), (f"grant:{GRANT}", GIVEN)), grants=(grant,))
    _turn_of_the_year(world)
    _february(world)
    return world


def _turn_of_the_year(world: World) -> None:
    first = world.event(EVE, "a1")
    conversation = world.unit(first, "conversation", EVE, billable=True)
    world.unit(first, "session", EVE, billable=True, part_of=conversation)
    world.charge(conversation)
    world.event(EVE + 10 * MINUTE, "a2", direction="outbound")
    world.event(EVE + 10 * MINUTE, "a2", direction="outbound")  # U7: the same again
    second = world.event(EVE + 20 * MINUTE, "a3")
    world.unit(second, "session", EVE + 20 * MINUTE, billable=True, part_of=conversation)
    began = world.event(EVE + 120 * MINUTE, "b1", direction="outbound")  # U12: nobody answers
    world.unit(began, "conversation", EVE + 120 * MINUTE, billable=False)
    world.unit(began, "session", EVE + 120 * MINUTE, billable=False)
    world.event(EVE + 125 * MINUTE, "b2", actor="human_agent")
    tested = world.event(EVE + 240 * MINUTE, "d1", environment="developer")
    world.unit(tested, "conversation", EVE + 240 * MINUTE, billable=False, environment="developer")
    world.unit(tested, "session", EVE + 240 * MINUTE, billable=False, environment="developer")


def _february(world: World) -> None:
    sent = world.event(FEBRUARY, "n1", type=NOTIFICATION, direction="outbound")
    world.unit(sent, "notification", FEBRUARY, billable=True)
    conversation = world.unit(sent, "conversation", FEBRUARY, billable=True)
    world.unit(sent, "session", FEBRUARY, billable=True, part_of=conversation)
    world.event(FEBRUARY + MINUTE, "e1")
    world.charge(conversation)
    late = world.event(FEBRUARY - 3 * DAY, "l1", append_us=FEBRUARY + 2 * MINUTE)
    world.aside(topics.LATE, late, "late", FEBRUARY - 3 * DAY)
    early = world.event(FEBRUARY + DAY, "f1", append_us=FEBRUARY + 2 * MINUTE)
    world.aside(topics.REJECTED, early, "too_early", FEBRUARY + DAY)
    broken = world.log.append(topics.INTERACTIONS, world.home, b"{", (FEBRUARY + 2 * MINUTE) // 1000)
    world.aside(topics.REJECTED, broken, "not_json", None)
    now = FEBRUARY + 3 * MINUTE
    ticked = world.log.append(topics.INTERACTIONS, world.home, tick(now, "t1"), now // 1000)
    outcomes = {
        "opened": 4, "joined": 2, "unbilled_developer": 1, "unbilled_human_agent": 1, "repeated": 1, "late": 1,
        "rejected": 2, "tick": 1,
    }  # fmt: skip
    outcomes["opened"] = ticked + 1 - sum(count for outcome, count in outcomes.items() if outcome != "opened")
    origin = Origin(topics.INTERACTIONS, world.home, ticked, 0)
    world.inbox(_encode(Watermark(origin, 2, now, now - DAY, outcomes)))
    alert = Alert("al-1", "acme", "low_balance", FEBRUARY, Origin(topics.INBOX, 0, 1, 0), 49_000_000, "low", 50_000_000)
    world.log.append(topics.ALERTS, 0, _encode(alert))
