"""L6 over plans: a history of METER and ACCOUNTS themselves reconciles clean; each planted fault is found and named."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from projections.connect import connect, ensure_database
from projections.migrate import migrate
from projections.reconcile import Difference, Spans, reconcile
from schemas.changes import Contract
from schemas.commands import (
    AddFunds,
    ApproveUpgrade,
    CancelPlan,
    CreateApp,
    CreateWorkspace,
    EndContract,
    GrantCredit,
    MoveCredit,
    PublishApp,
    RequestUpgrade,
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
