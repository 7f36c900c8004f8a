"""L6 over plans: a history of METER and ACCOUNTS themselves reconciles clean; each planted fault is found and named."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random

import pytest
from clickhouse_connect.driver.client import Client

from projections.connect import connect, ensure_database
from projections.migrate import migrate
from projections.reconcile import Reconciliation, Spans, reconcile
from schemas.changes import Contract, PaymentRequested
from schemas.commands import (
    AddFunds,
    ApproveUpgrade,
    CancelPlan,
    CommandBody,
    CreateApp,
    CreateWorkspace,
    EndContract,
    FailPayment,
    GrantCredit,
    MoveCredit,
    PublishApp,
    RequestFunds,
    RequestUpgrade,
    SetAutoPayment,
    SettlePayment,
    StartTrial,
    Subscribe,
    UnpublishApp,
)
from tests.accounts.story import catalog, price, standard
from tests.projections.loading import load_all
from tests.projections.whole_world import DAY, HOUR, LATENESS, MINUTE, T0, USD, WholeWorld

SPANS = Spans(lateness_us=LATENESS)


def _offer(period: str, included: int) -> dict[str, object]:
    return {"period": period, "from": "2000-01-01T00:00:00Z", "fee_usd": "5", "included": included}


CATALOG = catalog(
    free_credit={"usd": "2", "days": 4},
    plans=[
        {
            **standard(price("conversation", "0.20"), price("conversation", "0.35", "2026-01-03T00:00:00Z")),
            "prices": [
                price("conversation", "0.20"), price("conversation", "0.35", "2026-01-03T00:00:00Z"),
                price("notification", "0.01"), price("alert", "0"),
            ],
        },
        {"id": "trial", "trial": {"days": 2, "included": 3}},
        {"id": "essential", "offers": [_offer("monthly", 2), _offer("yearly", 3)]},
    ],
    renewals={"grace_days": 3},
)  # fmt: skip


def rich_world() -> WholeWorld:
    """All plans and prices in one workspace, with late corrections, and another that nobody created."""
    world = WholeWorld(CATALOG)
    world.order(T0, CreateWorkspace("olga"))
    for name in ("tried", "subscribed", "drafted"):
        world.order(T0 + MINUTE, CreateApp(name))
    world.order(T0 + 2 * MINUTE, AddFunds(200 * USD, "p1"))
    world.order(T0 + 2 * MINUTE, AddFunds(100 * USD, "p2", "subscribed"))
    world.order(T0 + 2 * MINUTE, GrantCredit(USD, "hello"))
    asked = world.order(T0 + 2 * MINUTE, RequestFunds(100 * USD, "wire", "tried"))
    world.order(T0 + 2 * MINUTE, SettlePayment(f"acme/funds/{asked}"))
    world.order(T0 + 2 * MINUTE, RequestFunds(100 * USD, "wire"))
    world.say(T0 + HOUR, app="drafted")  # E4: not published, so not billed
    for name in ("tried", "subscribed"):
        world.order(T0 + 3 * MINUTE, PublishApp(name))
    world.order(T0 + 3 * MINUTE, StartTrial("tried"))
    world.order(T0 + 3 * MINUTE, Subscribe("subscribed", "essential", "monthly"))
    _talk(world)
    _enterprise(world)
    _afterwards(world)
    return world


def _talk(world: WholeWorld) -> None:
    """Past the included units, on every plan; late events join, move and add units; developers are not billed."""
    names = ("tried", "subscribed", "bot")
    for name in names:
        world.say(T0 + 2 * HOUR + 20 * MINUTE, "user 0", app=name)
    for number in range(5):
        for name in names:
            world.say(T0 + (2 + number) * HOUR, f"user {number}", app=name)
    for name in names:  # joins two conversations, and sessions move; an included place comes free
        world.say(T0 + 2 * HOUR + 10 * MINUTE, "user 0", app=name)
    world.say(T0 + 2 * HOUR - 5 * MINUTE, "user 1", app="subscribed")  # a new unit, late
    world.say(T0 + 3 * HOUR - 10 * MINUTE, "user 1", app="bot")  # moves a start
    world.say(T0 + 3 * HOUR, "dev", app="bot", environment="developer")
    world.say(T0 + 3 * HOUR, "ann", app="bot", type="quarterhour.notification.v1", direction="outbound")
    world.say(T0 + 3 * HOUR, "bob", app="bot", direction="outbound")  # nobody answers
    world.say(T0 + 4 * HOUR, "ann", workspace="unknown")
    world.order(T0 + 5 * HOUR, MoveCredit(10 * USD, None, "tried"))
    world.order(T0 + 6 * HOUR, CancelPlan("tried"))
    world.say(T0 + 7 * HOUR, app="tried")  # the trial was given up
    world.order(T0 + 8 * HOUR, UnpublishApp("tried"))
    world.say(T0 + 9 * HOUR, app="tried")
    world.order(T0 + 10 * HOUR, PublishApp("tried"))
    world.order(T0 + 10 * HOUR, Subscribe("tried", "advanced", "yearly"))
    world.order(T0 + 10 * HOUR, SettlePayment(f"acme/fee/app/tried/{T0 + 10 * HOUR}"))
    world.say(T0 + 11 * HOUR, app="tried")
    world.order(T0 + 12 * HOUR, CancelPlan("tried"))
    world.order(T0 + 13 * HOUR, Subscribe("tried", "advanced", "yearly"))  # P8: goes on
    world.say(T0 + 14 * HOUR, app="tried")
    world.tick(T0 + DAY)
    world.say(T0 + 2 * DAY + HOUR, app="bot")  # another price
    world.tick(T0 + 5 * DAY)  # credit lapses, a fee is unpaid: `subscribed` falls back
    world.say(T0 + 5 * DAY + HOUR, app="subscribed")


def _enterprise(world: WholeWorld) -> None:
    world.order(T0 + 5 * DAY + 2 * HOUR, RequestUpgrade(), role="workspace_owner")
    contract = Contract(1000 * USD, 2, "monthly", "overage", 50_000)
    world.order(T0 + 5 * DAY + 3 * HOUR, ApproveUpgrade(contract))
    world.order(T0 + 5 * DAY + 3 * HOUR, SettlePayment(f"acme/fee/contract/{T0 + 5 * DAY + 3 * HOUR}"))
    for number in range(4):
        world.say(T0 + 5 * DAY + (4 + number) * HOUR, app=("tried", "bot")[number % 2])
    world.say(T0 + 5 * DAY + 6 * HOUR + 10 * MINUTE, app="bot")


def _afterwards(world: WholeWorld) -> None:
    world.order(T0 + 6 * DAY, ApproveUpgrade(Contract(0, 1, "yearly", "block")))
    for number in range(3):
        world.say(T0 + 6 * DAY + (1 + number) * HOUR, app="bot")
    world.order(T0 + 7 * DAY, EndContract("over"))
    world.say(T0 + 7 * DAY + HOUR, app="bot")
    world.say(T0 + 7 * DAY + HOUR, app="tried")
    world.tick(T0 + 8 * DAY)


@pytest.fixture(scope="module")
def told(clickhouse_server: str) -> Iterator[Client]:
    """The rich history, loaded once; its tables are not changed."""
    url = f"{clickhouse_server}/told"
    ensure_database(url)
    client = connect(url)
    migrate(client)
    asyncio.run(load_all(client, rich_world().log))
    yield client
    client.command("DROP DATABASE told SYNC")
    client.close()


def test_the_story_is_as_rich_as_it_says() -> None:
    world = rich_world()
    records = world.ledger
    assert world.refusals() == []
    charged = {(charge.plan, charge.covered) for record in records for charge in record.charges}
    assert charged >= {
        ("standard", ""), ("standard", "unpublished"), ("trial", "included"), ("trial", "beyond"),
        ("essential", "included"), ("essential", ""), ("advanced", "included"), ("enterprise", "included"),
        ("enterprise", ""), ("enterprise", "beyond"),
    }  # fmt: skip
    assert any(charge.reversed for record in records for charge in record.charges)
    changes = [change for record in records for change in record.changes]
    assert any(getattr(change, "unpaid", False) for change in changes)


def test_every_plan_and_late_corrections_reconcile(told: Client) -> None:
    assert reconcile(told, SPANS, CATALOG).differences == ()


def test_ranges_of_workspaces_find_the_same(told: Client) -> None:
    whole = reconcile(told, SPANS, CATALOG)
    assert reconcile(told, SPANS, CATALOG, rows_per_range=1) == whole
    assert whole.recounted_units > 40


def random_world(seed: int) -> WholeWorld:
    """A month of talk and commands as they come, in two workspaces, with events as late as may be."""
    chance, world, now = Random(seed), WholeWorld(CATALOG), T0
    names = ("a", "b", "c")
    for _ in range(220):
        now += chance.choice((0, MINUTE, 10 * MINUTE, 2 * HOUR, 9 * HOUR))
        workspace, name = chance.choice(("acme", "acme", "other")), chance.choice(names)
        if chance.random() < 0.08:
            world.tick(now)
        elif chance.random() < 0.7:
            late = chance.choice((0, 0, 5 * MINUTE, 40 * MINUTE, LATENESS))
            more = {"direction": chance.choice(("inbound", "inbound", "outbound"))}
            if chance.random() < 0.1:
                more["environment"] = "test"
            world.say(now - late, chance.choice(("ann", "bob")), app=name, workspace=workspace, **more)
        else:
            world.order(now, _random_order(chance, world, name, now), workspace=workspace)
    world.tick(now + DAY)
    return world


def _random_order(chance: Random, world: WholeWorld, name: str, now: int) -> CommandBody:
    asked = [
        change.payment_id
        for record in world.ledger
        for change in record.changes
        if isinstance(change, PaymentRequested)
    ]
    ends = chance.choice((None, None, now + 3 * DAY))
    orders: list[CommandBody] = [
        CreateApp(name), PublishApp(name), UnpublishApp(name), PublishApp(name), StartTrial(name), CancelPlan(name),
        Subscribe(name, "essential", "monthly"), Subscribe(name, "advanced", "yearly"), EndContract("over"),
        ApproveUpgrade(Contract(USD, 3, "monthly", "overage", 50_000, ends)),
        ApproveUpgrade(Contract(0, 1, "yearly", "block", 0, ends)), GrantCredit(USD, "gift"),
        AddFunds(100 * USD, f"p{now}"), AddFunds(100 * USD, f"q{now}", name), MoveCredit(USD, None, name),
        SetAutoPayment(150 * USD, 100 * USD, "card"), RequestFunds(100 * USD, "ach", chance.choice((None, name))),
    ]  # fmt: skip
    if asked:
        orders += [SettlePayment(chance.choice(asked)), SettlePayment(asked[-1]), FailPayment(asked[-1], "no")]
    return chance.choice(orders)


@pytest.mark.parametrize("seed", range(2))
async def test_random_histories_reconcile(client: Client, seed: int) -> None:
    await load_all(client, random_world(seed).log)
    assert reconcile(client, SPANS, CATALOG).differences == (), f"seed {seed}"


def forge(client: Client, table: str, select: str) -> None:
    """Let one table hold what the select makes of it."""
    client.command(f"CREATE TABLE forged AS {table}")
    client.command(f"INSERT INTO forged {select}")
    client.command(f"EXCHANGE TABLES {table} AND forged")
    client.command("DROP TABLE forged SYNC")


def _charge(app: str, start_us: int) -> str:
    return f"(app = '{app}' AND toUnixTimestamp64Micro(start) = {start_us} AND sign = 1)"


def _changed(app: str, start_us: int, **values: str) -> str:
    """All charges, one with other values."""
    where = _charge(app, start_us)
    replaced = ", ".join(f"if({where}, {value}, {name}) AS {name}" for name, value in values.items())
    return f"SELECT * REPLACE ({replaced}) FROM ledger_charges"


BOT, LAST, TRIED = T0 + 2 * DAY + HOUR, T0 + 5 * DAY + HOUR, T0 + 7 * DAY + HOUR
FAULTS = {
    "a missing charge": (
        "ledger_charges", f"SELECT * FROM ledger_charges WHERE NOT {_charge('bot', BOT)}",
        ("charges", "bot/web/ann conversation 2026-01-03T01:00:00Z", 1, 0),
    ),
    "a double charge": (
        "ledger_charges",
        "SELECT * FROM ledger_charges UNION ALL SELECT * REPLACE (9999 AS kafka_offset) FROM ledger_charges "
        f"WHERE {_charge('subscribed', LAST)}",
        ("charges", "subscribed/web/ann conversation 2026-01-06T01:00:00Z", 1, 2),
    ),
    "a wrong price": (
        "ledger_charges", _changed("tried", TRIED, price_micros="200000"),
        ("charged micros", "tried/web/ann conversation 2026-01-08T01:00:00Z", 350_000, 200_000),
    ),
    "a wrong plan": (
        "ledger_charges", _changed("tried", T0 + 5 * DAY + 6 * HOUR, plan="'standard'"),
        ("plan of a charge", "tried/web/ann session 2026-01-06T06:00:00Z", 1, 0),
    ),
    "an included unit that is charged": (
        "ledger_charges", _changed("bot", T0 + 5 * DAY + 5 * HOUR, price_micros="50000", covered="''"),
        ("included units", " in @", 1, 0),
    ),
    "a draft's unit that is charged": (
        "ledger_charges", _changed("drafted", T0 + HOUR, price_micros="200000"),
        ("charged micros", "drafted/web/ann conversation 2026-01-01T01:00:00Z", 0, 200_000),
    ),
    "an edited amount": (
        "ledger_lines",
        "SELECT * REPLACE (if(workspace = 'unknown' AND sequence = 1 AND startsWith(account, 'usage'), 200001, "
        "amount_micros) AS amount_micros) FROM ledger_lines",
        ("usage of a record", "1", 200_000, 200_001),
    ),
    "a missing event": (
        "interactions", "SELECT * FROM interactions WHERE NOT (app = 'bot' AND user = 'user 4')",
        ("charges", "bot/web/? conversation 2026-01-01T06:00:00Z", 0, 1),
    ),
    "a grant with another amount": (
        "grants",
        "SELECT * REPLACE (if(endsWith(grant_id, 'p1'), 300000000, amount_micros) AS amount_micros) FROM grants",
        ("grants", "acme/payment/p1", 200_000_000, 300_000_000),
    ),
    "a grant that lasts longer": (
        "grants", "SELECT * REPLACE (expires + INTERVAL 1 MINUTE AS expires) FROM grants",
        ("terms of a grant", "unknown/welcome: ", 1, 0),
    ),
    "credit that was due to lapse": (
        "ledger_lines", "SELECT * FROM ledger_lines WHERE NOT (workspace = 'unknown' AND kind = 'lapse')",
        ("expired credit lapses", "grant:unknown/welcome", 0, 1_800_000),
    ),
    "a command without an answer": (
        "ledger_entries", "SELECT * FROM ledger_entries WHERE NOT (workspace = 'acme' AND sequence = 7)",
        ("command answered", "c7", 1, 0),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def faulty(told: Client) -> Reconciliation:
    """What is found when every fault is there, each in another place."""
    for table, select, _ in FAULTS.values():
        forge(told, table, select)
    return reconcile(told, SPANS, CATALOG)


@pytest.mark.parametrize("name", FAULTS)
def test_each_kind_of_fault_is_found_and_named(faulty: Reconciliation, name: str) -> None:
    """L6."""
    check, key, expected, found = FAULTS[name][2]
    named = [one for one in faulty.differences if (one.check == check and one.key.startswith(key)) or key in one.key]
    assert (check, expected, found) in {(one.check, one.expected, one.found) for one in named}, named


def test_a_difference_comes_with_its_day_and_events(faulty: Reconciliation) -> None:
    (wrong,) = [one for one in faulty.differences if one.check == "charged micros" and one.key.startswith("tried")]
    assert (wrong.workspace, wrong.day, len(wrong.events)) == ("acme", "2026-01-08", 1)
    assert wrong.events[0].startswith("/gateways/test e")
