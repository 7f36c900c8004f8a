"""Late events that are billed after all (U6): what they add, what is refused; everything still adds up (L6, L7)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.client import Client

from projections.connect import connect, ensure_database
from projections.explain import explain_entry, explain_event
from projections.late import NotAdmissible, admission, found, late_events
from projections.migrate import migrate
from projections.ranges import Days
from projections.reconcile import Spans, reconcile
from projections.statement import statement
from projections.trends import trend
from projections.usage import units_by_user
from projections.what_if import Terms, what_if
from schemas.changes import Contract
from schemas.commands import AdmitLate, ApproveUpgrade, CreateWorkspace
from schemas.ledger import LedgerRecord
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
    world.order(T0 + 2 * DAY, ApproveUpgrade(Contract(0, 1, "monthly", "overage", 50_000)))
    world.say(T0 + 3 * DAY, "ann")
    world.tick(T0 + 8 * DAY)
    for id, at, user, more in (
        ("own 1", 5 * HOUR, "ann", {}), ("own 2", 5 * HOUR + 10 * MINUTE, "ann", {"direction": "outbound"}),
        ("own 3", 5 * HOUR + 20 * MINUTE, "ann", {}), ("longer", 2 * HOUR + 20 * MINUTE, "ann", {}),
        ("inside", 2 * HOUR + 5 * MINUTE, "ann", {}), ("before", 2 * HOUR - 5 * MINUTE, "ann", {}),
        ("answer", 2 * HOUR + MINUTE, "bob", {}), ("contract", 3 * DAY + HOUR, "ann", {}),
        ("notice", 6 * HOUR, "ann", {"type": "quarterhour.notification.v1", "direction": "outbound"}),
        ("test", 6 * HOUR, "eve", {"environment": "test"}), ("new", 8 * DAY - 6 * HOUR - 5 * MINUTE, "eve", {}),
    ):  # fmt: skip
        world.say(T0 + at, user, id=id, **more)
    world.say(T0 + 5 * HOUR, "ann", id="own 1")  # again
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
        (["notice"], [
            ("conversation", 6 * HOUR, 1, 0), ("notification", 6 * HOUR, 1, 1), ("session", 6 * HOUR, 1, 0),
        ]),
    ],
)  # fmt: skip
def test_what_late_events_add_is_counted_anew(
    books: Books, ids: list[str], units: list[tuple[str, int, int, int]]
) -> None:
    """U1, U2, U8, U12: units of their own, one session more of a conversation, a user who speaks after all."""
    assert added(books.wanted(*ids)) == units


@pytest.mark.parametrize(
    ("ids", "why"),
    [
        (["before"], "it would change units .* already: the conversation of 2026-01-01T02:00:00Z, the session of"),
        (["inside"], r"it adds no unit: it lies in units that are counted, or repeats an event \(U1, U2, U7\)"),
        (["test"], r"test traffic is counted apart and never billed \(U12\)"),
        (["own 1", "answer"], "of different users, apps or channels"),
        (["new"], r"events in time may still change it: .* everything up to 2026-01-08T18:10:00Z is closed \(U11\)"),
    ],
)  # fmt: skip
def test_what_would_change_what_is_billed_is_refused(books: Books, ids: list[str], why: str) -> None:
    """U5, U6: and what adds nothing, is test traffic, or may still change."""
    with pytest.raises(NotAdmissible, match=why):
        books.wanted(*ids)


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
    assert [(point.units, point.micros) for point in trend(books.client, "acme", days)] == [(3, 600_000)]
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


def _check_that_all_models_agree(books: Books) -> None:
    """T1, U6: usage, units, trends, statement and ledger tell the same of what was admitted as of what was not."""
    client, january = books.client, Days(date(2026, 1, 1), date(2026, 1, 31), ZoneInfo("UTC"))
    of_units = "SELECT kind, toDate(start) AS day, count(), countIf(billable) FROM units WHERE environment = 'live'"
    units = client.query(f"{of_units} GROUP BY kind, day ORDER BY kind, day").result_rows
    of_days = "SELECT kind, day, sum(units), sum(billable_units) FROM usage_daily WHERE environment = 'live'"
    assert client.query(f"{of_days} GROUP BY kind, day ORDER BY kind, day").result_rows == units
    first = date(2026, 1, 1)
    billable = {kind: some for kind, day, _, some in units if day == first}
    # Ann's talk, and her own of five o'clock; bob has answered. Of sessions one more each by "longer" and "own 3".
    assert billable == {"conversation": 3, "session": 5}
    trends = {(point.period, point.unit): point.units for point in trend(client, "acme", january, by=("unit",))}
    assert (trends[first, "conversation"], trends[first, "session"]) == (billable["conversation"], 0)
    contract = {kind: some for kind, day, _, some in units if day == date(2026, 1, 4)}
    assert (trends[date(2026, 1, 4), "session"], contract["session"]) == (1, 2)  # one of them is included (P3)
    said = statement(client, "acme", january)
    posted = [charge for record in books.world.ledger for charge in record.charges]
    charged = sum(-charge.price_micros if charge.reversed else charge.price_micros for charge in posted)
    assert said is not None
    assert said.charged_micros == sum(point.micros for point in trend(client, "acme", january)) == charged
    assert sum(line.charged_units for line in said.charges) == sum(trends.values()) + 1 == 5
    (ann, bob) = [row for row in units_by_user(client) if row.workspace == "acme" and row.user in ("ann", "bob")]
    assert (ann.conversations, ann.sessions, bob.conversations, bob.sessions) == (4, 6, 1, 1)
    plan = books.world.catalog.plan_of_kind("contract")
    assert plan is not None
    lines = what_if(client, "acme", january, Terms(plan, price_micros=1)).lines
    assert sum(line.units for line in lines) == sum(some for kind, _, _, some in units if kind == "session")


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
