"""T5: what a workspace is beside its credit, from a history of METER and ACCOUNTS; and the views it is read from."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from clickhouse_connect.driver.client import Client

from projections.connect import connect, ensure_database
from projections.migrate import migrate
from projections.profile import Licence, profile
from projections.web.application import application
from projections.web.database import Database
from schemas.catalog import load_catalog
from schemas.changes import Contract
from schemas.commands import (
    AcceptInvitation,
    AddFunds,
    ApproveUpgrade,
    AssignLicence,
    CancelPlan,
    CreateApp,
    CreateWorkspace,
    FailPayment,
    InviteCollaborator,
    InviteUser,
    PublishApp,
    RequestUpgrade,
    SetAlerts,
    SettlePayment,
    StartTrial,
    Subscribe,
    SubscribeSupport,
    TransferApp,
    UnpublishApp,
)
from tests.projections.loading import load_all
from tests.projections.serving import serving
from tests.projections.whole_world import DAY, HOUR, MINUTE, T0, USD, WholeWorld


def at(micros: int) -> datetime:
    return datetime.fromtimestamp(micros // 10**6, UTC)


def world_of_plans() -> WholeWorld:
    """`acme` with a subscription, a trial, support and people; `big` under a contract; `new` that nobody created."""
    world = WholeWorld()
    world.order(T0, CreateWorkspace("olga", "olga@example.com"))
    for name in ("shop", "lab", "idea"):
        world.order(T0, CreateApp(name, ()))
    for name in ("shop", "lab"):
        world.order(T0 + MINUTE, PublishApp(name))
    world.order(T0 + HOUR, Subscribe("shop", "essential", "monthly"))
    world.order(T0 + 2 * HOUR, SettlePayment(f"acme/fee/app/shop/{T0 + HOUR}"))
    world.order(T0 + HOUR, StartTrial("lab"))
    world.order(T0 + HOUR, SubscribeSupport())
    world.order(T0 + 2 * HOUR, FailPayment(f"acme/fee/support/{T0 + HOUR}", "declined"))
    world.order(T0 + HOUR, InviteUser("ida", "ida@example.com"))
    world.order(T0 + HOUR, AcceptInvitation(), role="collaborator", name="ida")
    world.order(T0 + HOUR, InviteCollaborator("lab", "ida", "tester"))
    world.order(T0 + HOUR, TransferApp("shop", "ida"))
    world.order(T0 + HOUR, AssignLicence("search_ai"))
    world.order(T0 + HOUR, RequestUpgrade(), role="workspace_owner")
    for number in range(3):
        world.say(T0 + (3 + number) * HOUR, app="shop")
    world.say(T0 + 4 * HOUR, app="lab")
    world.order(T0 + 5 * HOUR, UnpublishApp("lab"))
    world.order(T0 + 6 * HOUR, CancelPlan("shop"))
    world.order(T0 + 7 * HOUR, Subscribe("shop", "essential", "monthly"))  # P8: goes on
    world.order(T0, CreateWorkspace("bea"), workspace="big")
    world.order(T0, AddFunds(100 * USD, "p1"), workspace="big")
    world.order(T0, ApproveUpgrade(Contract(900 * USD, 4, "yearly", "block")), workspace="big")
    world.order(T0, SettlePayment(f"big/fee/contract/{T0}"), workspace="big")
    for number in range(4):
        world.say(T0 + (1 + number) * HOUR, workspace="big")
    world.say(T0 + HOUR, workspace="new")
    world.tick(T0 + DAY)
    return world


@pytest.fixture(scope="module")
def planned(clickhouse_server: str) -> Iterator[Client]:
    """A database that holds it; read only."""
    ensure_database(f"{clickhouse_server}/planned")
    client = connect(f"{clickhouse_server}/planned")
    migrate(client)
    asyncio.run(load_all(client, world_of_plans().log))
    yield client
    client.command("DROP DATABASE planned SYNC")
    client.close()


def test_nothing_was_refused() -> None:
    assert world_of_plans().refusals() == []


def test_t5_plans_fees_and_renewals(planned: Client) -> None:
    found = profile(planned, "acme")
    assert found is not None
    assert (found.plan, found.support_plan, found.upgrade_requested) == ("Standard", "Standard support", True)
    told = {
        (p.kind, p.app): (p.plan, p.subscription, p.fee_micros, p.renews, p.included, p.included_used)
        for p in found.running
    }
    february = datetime(2026, 2, 1, 1, tzinfo=UTC)
    assert told == {
        ("app", "shop"): ("Essential", "monthly", 50 * USD, february, 250, 3),
        ("app", "lab"): ("Free trial", "", 0, None, 2000, 1),
        ("support", ""): ("Standard support", "monthly", 1000 * USD, february, None, 0),
    }
    assert next(p.ends for p in found.running if p.app == "lab") == at(T0 + HOUR + 14 * DAY)


def test_w1_w2_e4_apps_and_people(planned: Client) -> None:
    found = profile(planned, "acme")
    assert found is not None
    apps = {app.app: app for app in found.apps}
    assert {name: (app.owner, app.status, app.plan, app.allowed) for name, app in apps.items()} == {
        "shop": ("ida", "published", "Essential", True),
        "lab": ("olga", "unpublished", "Free trial", False),
        "idea": ("olga", "draft", "Standard", False),
    }
    assert apps["lab"].collaborators == (("ida", "tester"),)
    assert apps["idea"].inactive
    assert not apps["shop"].inactive
    assert found.people == (("olga", "owner", "olga@example.com"), ("ida", "member", "ida@example.com"))


def test_p10_each_product_has_its_button(planned: Client) -> None:
    found = profile(planned, "acme")
    assert found is not None
    assert found.licences == (
        Licence("automation_ai", "Automation AI", False, "try_now"),
        Licence("search_ai", "Search AI", True, "create_new"),
        Licence("contact_center_ai", "Contact Center AI", False, "try_now"),
        Licence("agent_ai", "Agent AI", False, "contact_us"),
    )


def test_warnings_last_as_long_as_their_cause(planned: Client) -> None:
    found = profile(planned, "acme")
    assert found is not None
    assert [(warning.kind, warning.app) for warning in found.warnings] == [("payment_due", "")]
    assert "USD 1,000.00 for support" in found.warnings[0].text
    assert "has failed" in found.warnings[0].text


def test_p3_a_contract_covers_all_apps_and_warns_when_it_is_used_up(planned: Client) -> None:
    found = profile(planned, "big")
    assert found is not None
    (contract,) = found.running
    assert (found.plan, found.support_plan) == ("Enterprise", "Enterprise support")
    assert (contract.fee_micros, contract.included, contract.included_used) == (900 * USD, 4, 4)
    assert contract.renews == datetime(2027, 1, 1, tzinfo=UTC)
    assert {(warning.kind, warning.app) for warning in found.warnings} == {
        ("contract_usage", ""),
        ("app_stopped", "bot"),
    }


def test_the_account_view_under_a_contract_tells_what_remains_of_it(planned: Client, clickhouse_server: str) -> None:
    """E3, T5: of four requests a year all are used, whatever credit there is; `acme` is on Standard."""
    database = Database(f"{clickhouse_server}/{planned.database}")
    with serving(application(database, load_catalog())) as address, httpx.Client(base_url=address, timeout=30) as page:
        told = {name: page.get(f"/api/workspaces/{name}").json() for name in ("big", "acme")}
    assert (told["big"]["plan"], told["big"]["allowed_requests"], told["big"]["price_micros"]) == ("Enterprise", 0, 0)
    assert told["big"]["free_micros"] == 500 * USD
    free, price = told["acme"]["free_micros"], told["acme"]["price_micros"]
    assert (told["acme"]["plan"], price) == ("Standard", 200_000)
    assert told["acme"]["allowed_requests"] == free // price > 0


def test_a_workspace_that_began_with_a_unit_has_a_profile_and_an_unknown_one_has_none(planned: Client) -> None:
    found = profile(planned, "new")
    assert found is not None
    assert (found.plan, found.people, [app.status for app in found.apps]) == ("Standard", (), ["published"])
    assert (found.apps[0].created, found.balance) == (None, "using_free_credits")
    assert profile(planned, "nobody") is None


def test_a3_every_alert_with_its_recipients_is_loaded(planned: Client) -> None:
    rows = planned.query("SELECT kind, user, role, email FROM alert_recipients WHERE workspace = 'acme'").result_rows
    assert ("payment_failed", "olga", "workspace_owner", "olga@example.com") in rows


def test_c10_p8_payments_and_what_became_of_them(planned: Client) -> None:
    query = "SELECT purpose, status, reason, amount_micros FROM payments WHERE workspace = 'acme' ORDER BY purpose"
    assert planned.query(query).result_rows == [
        ("subscription", "settled", "", 50 * USD), ("support", "failed", "declined", 1000 * USD),
    ]  # fmt: skip
    asked = "SELECT count() FROM payment_requests WHERE workspace = 'acme'"
    assert planned.query(asked).first_row[0] == 2


def test_p8_a_resumed_subscription_is_one_plan(planned: Client) -> None:
    query = "SELECT plan, from, until FROM plan_history WHERE workspace = 'acme' AND app = 'shop'"
    assert planned.query(query).result_rows == [("essential", at(T0 + HOUR), None)]


def test_pages_tell_the_balance_status_that_was_published(client: Client, clickhouse_server: str) -> None:
    """C11, A1: which knows the threshold that the owner has set; warnings and pill say the same."""
    world = WholeWorld()
    world.order(T0, CreateWorkspace("olga"))
    world.order(T0, SetAlerts((499_900_000,), ()))
    world.say(T0 + HOUR)
    world.tick(T0 + DAY)
    asyncio.run(load_all(client, world.log))
    database = Database(f"{clickhouse_server}/{client.database}")
    with serving(application(database, load_catalog())) as address, httpx.Client(base_url=address, timeout=30) as page:
        shown = [page.get(f"/workspaces/acme{path}").text for path in ("", "/credit")]
    assert ["The credit is below the alert threshold." in text for text in shown] == [True, False]
    assert all('<span class="pill low">low balance</span></h1>' in text for text in shown)
