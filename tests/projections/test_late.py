"""Late events that are billed after all (U6): what they add, what is refused; everything still adds up (L6, L7)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.client import Client

from projections.connect import connect, ensure_database
from projections.explain import explain_entry, explain_event, explain_unit
from projections.late import NotAdmissible, admission, found, late_events
from projections.loader.records import TopicPartition
from projections.migrate import migrate
from projections.ranges import Days
from projections.reconcile import Spans, reconcile
from projections.statement import statement
from projections.trends import trend
from projections.usage import units_by_user
from projections.what_if import Terms, what_if
from schemas.changes import Contract
from schemas.commands import AdmitLate, ApproveUpgrade, CreateWorkspace
from schemas.instants import datetime_of
from schemas.ledger import LedgerRecord
from schemas.topics import REJECTED
from tests.projections.loading import FlakyClient, load_all
from tests.projections.whole_world import DAY, HOUR, LATENESS, MINUTE, T0, WholeWorld

SPANS = Spans(lateness_us=LATENESS)
WHY = "a gateway was down"


def late_world() -> WholeWorld:
    """A day of talk and a contract from the third day on; then events of the first day and the fourth come."""
    world = WholeWorld()
    world.order(T0, CreateWorkspace("olga"))
    world.say(T0 + 2 * HOUR, "ann", id="talk")
    world.say(T0 + 2 * HOUR + 10 * MINUTE, "ann", direction="outbound")
    world.say(T0 + 2 * HOUR, "bob", direction="outbound")  # the app began, and nobody answered
    for minute in (0, 10, 35, 45):  # two conversations
        world.say(T0 + 12 * HOUR + minute * MINUTE, "kim", id=f"kim {minute}")
    world.order(T0 + 2 * DAY, ApproveUpgrade(Contract(0, 1, "monthly", "overage", 50_000)))
    world.say(T0 + 3 * DAY, "ann")
    world.tick(T0 + 8 * DAY)
    for id, at, user, more in (
        ("own 1", 5 * HOUR, "ann", {}), ("own 2", 5 * HOUR + 10 * MINUTE, "ann", {"direction": "outbound"}),
        ("own 3", 5 * HOUR + 20 * MINUTE, "ann", {}), ("longer", 2 * HOUR + 20 * MINUTE, "ann", {}),
        ("inside", 2 * HOUR + 5 * MINUTE, "ann", {}), ("before", 2 * HOUR - 5 * MINUTE, "ann", {}),
        ("answer", 2 * HOUR + MINUTE, "bob", {}), ("contract", 3 * DAY + HOUR, "ann", {}),
        ("notice", 6 * HOUR, "ann", {"type": "quarterhour.notification.v1", "direction": "outbound"}),
        ("join", 12 * HOUR + 22 * MINUTE, "kim", {}), ("agent", 7 * HOUR, "ann", {"actor": "human_agent"}),
        ("test", 6 * HOUR, "eve", {"environment": "test"}), ("new", 8 * DAY - 6 * HOUR - 5 * MINUTE, "eve", {}),
    ):  # fmt: skip
        world.say(T0 + at, user, id=id, **more)
    world.say(T0 + 5 * HOUR, "ann", id="own 1")  # again
    world.say(T0 + 2 * HOUR, "ann", id="talk")
    return world


class Books(NamedTuple):
    """A world and the database that holds it."""

    world: WholeWorld
    client: Client

    def wanted(self, *ids: str) -> AdmitLate:
        names = [self.first(id) for id in ids]
        return admission(self.client, found(self.client, names, "acme"), WHY, SPANS)

    def first(self, id: str) -> str:
        return next(one.name for one in late_events(self.client, "acme") if one.id == id)

    def admit(self, *ids: str) -> LedgerRecord:
        """The ledger record, loaded while every third insert fails, before or after it is done (L3)."""
        self.world.order(T0 + 9 * DAY, self.wanted(*ids), name="root")
        record = next(
            one for one in reversed(self.world.ledger) if one.workspace == "acme" and one.actor == "operator:root"
        )
        asyncio.run(load_all(FlakyClient(self.client, 3), self.world.log))
        return record


@pytest.fixture(scope="module")
def books(clickhouse_server: str) -> Iterator[Books]:
    """Loaded once; what tests admit does not meet."""
    ensure_database(f"{clickhouse_server}/late_events")
    client = connect(f"{clickhouse_server}/late_events")
    migrate(client)
    world = late_world()
    asyncio.run(load_all(client, world.log))
    yield Books(world, client)
    client.command("DROP DATABASE late_events SYNC")
    client.close()


def added(body: AdmitLate) -> list[tuple[str, int, int, int]]:
    return [(unit.kind, unit.start_us - T0, unit.delta, unit.billable_delta) for unit in body.units]


@pytest.mark.parametrize(
    ("ids", "units"),
    [
        (["own 1", "own 2", "own 3"], [
            ("conversation", 5 * HOUR, 1, 1), ("session", 5 * HOUR, 1, 1), ("session", 5 * HOUR + 20 * MINUTE, 1, 1),
        ]),
        (["own 2"], [
            ("conversation", 5 * HOUR + 10 * MINUTE, 1, 0), ("session", 5 * HOUR + 10 * MINUTE, 1, 0),
        ]),
        (["longer"], [("session", 2 * HOUR + 20 * MINUTE, 1, 1)]),
        (["answer"], [("conversation", 2 * HOUR, 0, 1), ("session", 2 * HOUR, 0, 1)]),
        (["inside"], []),
        (["before"], [
            ("conversation", 2 * HOUR - 5 * MINUTE, 0, 0), ("session", 2 * HOUR - 5 * MINUTE, 0, 0),
            ("session", 2 * HOUR + 10 * MINUTE, 1, 0),
        ]),
        (["join"], [
            ("session", 12 * HOUR + 22 * MINUTE, 0, 0), ("conversation", 12 * HOUR + 35 * MINUTE, -1, -1),
            ("session", 12 * HOUR + 45 * MINUTE, 1, 1),
        ]),
        (["notice"], [
            ("conversation", 6 * HOUR, 1, 0), ("notification", 6 * HOUR, 1, 1), ("session", 6 * HOUR, 1, 0),
        ]),
    ],
)  # fmt: skip
def test_what_late_events_add_is_counted_anew(
    books: Books, ids: list[str], units: list[tuple[str, int, int, int]]
) -> None:
    """U1, U2, U8, U12: units of their own, one session more of a conversation, a user who speaks after all; nothing, a
    start that moves, two conversations that are one."""
    assert added(books.wanted(*ids)) == units


@pytest.mark.parametrize(
    ("ids", "why"),
    [
        (["talk"], r"talk repeats an event that counts already: it changes nothing \(U7\)"),
        (["agent"], r"agent: what a human agent does is no activity of the app, nor billed \(U12\)"),
        (["test"], r"test traffic is counted apart and never billed \(U12\)"),
        (["own 1", "answer"], "of different users, apps or channels"),
        (["new"], r"events in time may still change it: .* everything up to 2026-01-08T18:10:00Z is closed \(U11\)"),
    ],
)  # fmt: skip
def test_what_changes_nothing_or_may_still_change_is_refused(books: Books, ids: list[str], why: str) -> None:
    """U6, U7, U11, U12."""
    with pytest.raises(NotAdmissible, match=why):
        books.wanted(*ids)


def test_what_one_admission_cannot_tell_is_refused_before_it_is_given(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """U6: as one event that shifts all sessions of a conversation of two days does."""
    monkeypatch.setattr("projections.late.MOST_AT_ONCE", 2)
    with pytest.raises(NotAdmissible, match="3 units are more than one admission can tell, 2: admit fewer events"):
        books.wanted("join")
    monkeypatch.setattr("projections.late.MOST_AT_ONCE", 0)
    with pytest.raises(NotAdmissible, match="1 events are more than one admission can tell, 0: admit fewer events"):
        books.wanted("inside")


def test_an_event_is_named_so_that_it_is_the_only_one(books: Books) -> None:
    with pytest.raises(NotAdmissible, match="own 1: 2 late events have that id; name one of interactions-"):
        found(books.client, ["own 1"], "acme")
    with pytest.raises(NotAdmissible, match="nothing: no late event of that name or id"):
        found(books.client, ["nothing"])


def test_admitted_events_are_billed_explained_and_reconciled(books: Books) -> None:
    """L6, L7, U6, P3, U10, T1: on Standard by the conversation, under the contract by the session."""
    before = reconcile(books.client, SPANS)
    assert before.differences == ()
    own = books.admit("own 1", "own 2", "own 3")
    assert [(c.unit_kind, c.plan, c.price_micros) for c in own.charges] == [("conversation", "standard", 200_000)]
    answer = books.admit("answer")
    assert [(c.unit_kind, c.price_micros) for c in answer.charges] == [("conversation", 200_000)]
    contract = books.admit("contract")
    assert [(c.unit_kind, c.plan, c.price_micros) for c in contract.charges] == [("session", "enterprise", 50_000)]
    assert books.admit("longer").charges == ()
    after = reconcile(books.client, SPANS)
    assert (after.differences, after.recounted_units) == ((), before.recounted_units + 3 + 0 + 2 + 1)
    days = Days(date(2026, 1, 1), date(2026, 1, 1), ZoneInfo("UTC"))
    assert [(point.units, point.micros) for point in trend(books.client, "acme", days)] == [(5, 1_000_000)]
    _check_that_all_models_agree(books)
    with pytest.raises(NotAdmissible, match=f"was admitted before, by operator:root, ledger record {own.sequence}"):
        books.wanted("own 2")

    arrivals = explain_event(books.client, "own 1", "acme")
    assert [one.outcome for one in arrivals] == ["billed", "late"]
    assert "was admitted by operator:root at 2026-01-10" in arrivals[0].why
    assert f"in ledger record {own.sequence}: {WHY}" in arrivals[0].why
    assert [event.id for unit in arrivals[0].units for event in unit.events if unit.unit.kind == "conversation"] == [
        "own 1", "own 2", "own 3"
    ]  # fmt: skip
    entry = explain_entry(books.client, "acme", own.sequence)
    assert entry is not None
    assert [event.id for event in entry.units[0].events] == ["own 1", "own 2", "own 3"]
    (spoke,) = explain_event(books.client, "answer", "acme")
    assert (spoke.outcome, [event.id for event in spoke.units[0].events][-1]) == ("billed", "answer")


def _units_by_day(client: Client) -> list[tuple[str, date, int, int]]:
    """Units and billable ones by kind and day, the same from `units` and from `usage_daily`."""
    of_units = "SELECT kind, toDate(start) AS day, count(), countIf(billable) FROM units WHERE environment = 'live'"
    units = client.query(f"{of_units} GROUP BY kind, day ORDER BY kind, day").result_rows
    of_days = "SELECT kind, day, sum(units), sum(billable_units) FROM usage_daily WHERE environment = 'live'"
    assert client.query(f"{of_days} GROUP BY kind, day ORDER BY kind, day").result_rows == units
    return [tuple(row) for row in units]


def _check_that_all_models_agree(books: Books) -> None:
    """T1, U6: usage, units, trends, statement and ledger tell the same of what was admitted as of what was not."""
    client, january = books.client, Days(date(2026, 1, 1), date(2026, 1, 31), ZoneInfo("UTC"))
    units = _units_by_day(client)
    first = date(2026, 1, 1)
    billable = {kind: some for kind, day, _, some in units if day == first}
    # Ann's talk, her own of five o'clock; bob has answered; kim's two. A session more each by "longer" and "own 3".
    assert billable == {"conversation": 5, "session": 7}
    trends = {(point.period, point.unit): point.units for point in trend(client, "acme", january, by=("unit",))}
    assert (trends[first, "conversation"], trends[first, "session"]) == (billable["conversation"], 0)
    contract = {kind: some for kind, day, _, some in units if day == date(2026, 1, 4)}
    assert (trends[date(2026, 1, 4), "session"], contract["session"]) == (1, 2)  # one of them is included (P3)
    said = statement(client, "acme", january)
    posted = [charge for record in books.world.ledger for charge in record.charges]
    charged = sum(-charge.price_micros if charge.reversed else charge.price_micros for charge in posted)
    assert said is not None
    assert said.charged_micros == sum(point.micros for point in trend(client, "acme", january)) == charged
    assert sum(line.charged_units for line in said.charges) == sum(trends.values()) + 1 == 7
    (ann, bob) = [row for row in units_by_user(client) if row.workspace == "acme" and row.user in ("ann", "bob")]
    assert (ann.conversations, ann.sessions, bob.conversations, bob.sessions) == (4, 6, 1, 1)
    plan = books.world.catalog.plan_of_kind("contract")
    assert plan is not None
    lines = what_if(client, "acme", january, Terms(plan, price_micros=1)).lines
    assert sum(line.units for line in lines) == sum(some for kind, _, _, some in units if kind == "session")


def test_what_an_admission_takes_back_returns_to_who_paid_and_is_explained(books: Books) -> None:
    """L6, L7, U5, C8: two conversations that a late event makes one, one that starts earlier, one that only goes on."""
    before = _units_by_day(books.client)
    joined = books.admit("join")
    (second,) = joined.charges
    assert (second.reversed, second.unit_kind, second.start_us) == (True, "conversation", T0 + 12 * HOUR + 35 * MINUTE)
    lines = [(line.account, line.amount_micros) for line in joined.lines]
    assert lines == [("usage:conversation", -200_000), ("grant:acme/welcome", 200_000)]
    # Of kim's conversations one went, and there is a session more.
    changes = {"conversation": (-1, -1), "session": (1, 1)}
    assert _units_by_day(books.client) == [
        (kind, day, units + more, billable + paid)
        for kind, day, units, billable in before
        for more, paid in [changes.get(kind, (0, 0)) if day == date(2026, 1, 1) else (0, 0)]
    ]
    assert (books.admit("before").charges, books.admit("inside").charges) == ((), ())
    _units_by_day(books.client)
    moved = (
        "SELECT start, billable, change, closed, last FROM units WHERE user = 'ann' AND kind = 'conversation' "
        "ORDER BY start LIMIT 1"
    )
    ((start, billable, change, closed, last),) = books.client.query(moved).result_rows
    begun = datetime_of(T0 + 2 * HOUR - 5 * MINUTE)
    assert (start.replace(tzinfo=UTC), billable, change, closed) == (begun, True, "admitted", True)
    assert last is not None, "what METER said of it stays: when it ended"
    assert reconcile(books.client, SPANS).differences == ()
    entry = explain_entry(books.client, "acme", joined.sequence)
    assert entry is not None
    (unit,) = entry.units
    assert "so it never was (U5). What it cost was given back in ledger record" in unit.why
    for id, first in (("kim 35", "kim 0"), ("join", "kim 0"), ("talk", "before"), ("inside", "before")):
        told = explain_event(books.client, id, "acme")[0]
        assert (told.outcome, told.units[0].events[0].id) == ("billed", first)
        assert told.units[0].unit.start == told.units[0].events[0].time
    with pytest.raises(NotAdmissible, match="was admitted before, by operator:root"):
        books.wanted("inside")


def test_whatever_is_admitted_in_whatever_order_a_recount_agrees(clickhouse_server: str) -> None:
    """L6, U5, U6, P3, U10: random talk around midnight, and late events that come into it one after another; on
    Standard and, for some, under a contract that begins in the midst of it."""
    random, name = Random(1), "late_random"
    ensure_database(f"{clickhouse_server}/{name}")
    client = connect(f"{clickhouse_server}/{name}")
    migrate(client)
    world, houses = WholeWorld(), [f"w{number}" for number in range(8)]

    def say(house: str, minutes: list[int]) -> None:
        for minute in minutes:
            direction = random.choice(("inbound", "inbound", "outbound"))
            world.say(T0 + DAY + minute * MINUTE, "ann", workspace=house, direction=direction)

    def talk(minute: int) -> list[int]:
        return [minute := minute + random.choice((5, 14, 16, 20, 25, 28)) for _ in range(7)]

    for house in houses:
        world.order(T0, CreateWorkspace("olga"), workspace=house)
        say(house, talk(-150))
        if random.random() < 0.5:
            terms = random.choice((Contract(0, 2, "monthly", "block"), Contract(0, 2, "monthly", "overage", 50_000)))
            world.order(T0 + DAY + 20 * MINUTE, ApproveUpgrade(terms), workspace=house)
        say(house, talk(15))
    world.tick(T0 + 8 * DAY)
    for house in houses:
        say(house, random.sample(range(-150, 150), 6))
    for _ in range(3):
        asyncio.run(load_all(client, world.log))
        for house in houses:
            left = [one.name for one in late_events(client, house) if not one.admitted]
            chosen = random.sample(left, min(len(left), random.choice((1, 2))))
            if chosen:
                world.order(T0 + 9 * DAY, admission(client, found(client, chosen), WHY, SPANS), workspace=house)
    asyncio.run(load_all(client, world.log))
    admitted = [record for record in world.ledger if record.kind == "late_admitted"]
    differences = reconcile(client, SPANS).differences
    of_key = "SELECT workspace, app, channel, user, environment, toUnixTimestamp64Micro(start), unit_id"
    talks = client.query(f"{of_key} FROM conversations ORDER BY start").result_rows
    sessions = client.query(f"{of_key}, conversation_id FROM sessions").result_rows
    explained = {row[6]: explain_unit(client, row[6], row[0]) for row in sessions[::7]}
    client.command(f"DROP DATABASE {name} SYNC")
    client.close()
    assert (world.refusals(), differences, world.log.records[TopicPartition(REJECTED, 0)]) == ([], (), [])
    assert sum(charge.reversed for record in admitted for charge in record.charges) > 2
    # U14: each is in the conversation of its key that began last before it.
    mine = {row[6]: [talk[6] for talk in talks if talk[:5] == row[:5] and talk[5] <= row[5]][-1] for row in sessions}
    assert {row[6]: row[7] for row in sessions} == mine
    assert {one: told.unit.conversation_id for one, told in explained.items() if told} == {
        one: mine[one] for one in explained
    }


def test_two_of_one_instant_and_an_id_used_again_are_counted_as_meter_does(clickhouse_server: str) -> None:
    """U5, U7, U8, L6: two notifications of the same microsecond; and an event in time under the id of an admitted one,
    which METER counts as its own, so that another late one only makes its conversation longer."""
    name = "late_ids"
    ensure_database(f"{clickhouse_server}/{name}")
    client = connect(f"{clickhouse_server}/{name}")
    migrate(client)
    books = Books(WholeWorld(), client)
    world = books.world
    world.order(T0, CreateWorkspace("olga"))
    world.tick(T0 + 8 * DAY)
    for id in ("one", "two"):
        world.say(T0 + 6 * HOUR, "kim", id=id, type="quarterhour.notification.v1", direction="outbound")
    world.say(T0 + 9 * HOUR, "ann", id="again")
    asyncio.run(load_all(client, world.log))
    notices = [(unit.kind, unit.delta) for unit in books.wanted("one", "two").units if unit.kind == "notification"]
    assert notices == [("notification", 1), ("notification", 1)]
    books.admit("one", "two")
    books.admit("again")
    world.say(T0 + 8 * DAY, "ann", id="again")
    world.tick(T0 + 10 * DAY)
    world.say(T0 + 8 * DAY + 5 * MINUTE, "ann", id="longer")
    asyncio.run(load_all(client, world.log))
    assert added(books.wanted("longer")) == []
    books.admit("longer")
    differences = reconcile(client, SPANS).differences
    client.command(f"DROP DATABASE {name} SYNC")
    client.close()
    assert (world.refusals(), differences) == ([], ())


def test_a_forged_admission_is_found(books: Books) -> None:
    """L6: an event that was not late, or a unit that no event makes."""
    forged = '{"events":[{"source":"x","id":"y","partition":0,"offset":0}],"units":[]}'
    books.client.command("CREATE TABLE kept AS ledger_changes")
    books.client.command("INSERT INTO kept SELECT * FROM ledger_changes")
    values = f"'late_admitted' AS change, '{forged}' AS body, 99 AS change_index"
    row = f"SELECT * REPLACE ({values}) FROM ledger_changes LIMIT 1"
    books.client.command(f"INSERT INTO ledger_changes {row}")
    counts = reconcile(books.client, SPANS).counts
    books.client.command("EXCHANGE TABLES kept AND ledger_changes")
    books.client.command("DROP TABLE kept SYNC")
    assert counts.keys() == {"admitted set aside"}
