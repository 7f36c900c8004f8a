"""Whom an alert is for, and where they are reached: A3, W2; every kind of alert of A1 and P10."""

from __future__ import annotations

from typing import get_args

import pytest

from schemas.alerts import Alert, AlertKind, Recipient
from schemas.changes import Contract
from schemas.commands import (
    AcceptInvitation,
    Actor,
    AddFunds,
    ApproveUpgrade,
    AssignLicence,
    AssignRole,
    Command,
    CommandBody,
    CreateApp,
    CreateWorkspace,
    FailPayment,
    InviteUser,
    PublishApp,
    RemoveUser,
    SetEmail,
    SettlePayment,
    Subscribe,
    TransferApp,
)
from streams.accounts.addressing import is_address, recipients
from streams.accounts.policy import policy_of
from tests.accounts.story import DAY, T0, USD, Story, Teller, catalog

OLGA = Recipient("workspace_owner", "olga", "olga@acme.example")
BEN = Recipient("app_owner", "ben", "ben@acme.example")
FORTY_CENTS = policy_of(catalog(free_credit={"usd": "0.40"}, alerts={"low_balance_usd": "0.30"}))


class Office:
    """A workspace of olga's whose app `bot` is ben's; `does` gives a command in somebody's name."""

    def __init__(self) -> None:
        self.story, self.teller = Story(FORTY_CENTS), Teller()
        self.does("olga", "system", CreateWorkspace("olga", "olga@acme.example"))
        self.does("olga", "workspace_owner", InviteUser("ben", "ben@acme.example"))
        self.does("ben", "collaborator", AcceptInvitation())
        self.does("ben", "collaborator", CreateApp("bot"))
        self.does("ben", "app_owner", PublishApp("bot"))

    def does(self, name: str, role: str, body: CommandBody, at_us: int = T0) -> list[Alert]:
        """The alerts that a command raised, which is obeyed."""
        before = len(self.story.alerts)
        given = Command(f"c{self.story.told}", "acme", at_us, Actor(role, name), body)  # type: ignore[arg-type]
        (record,) = self.story.tell(given)
        assert record.kind != "command_refused", record.note
        return self.story.alerts[before:]


@pytest.fixture
def office() -> Office:
    return Office()


def told_at_all() -> dict[tuple[str, str | None], tuple[Recipient, ...]]:
    """Two workspaces to which everything happens that is ever told: (kind, app) and for whom it is."""
    poor, teller = Office(), Teller()
    poor.does("ben", "app_owner", Subscribe("bot", "essential", "monthly"))
    poor.does("pay", "system", FailPayment(poor.story.requests[0].payment_id, "no cover"))
    poor.does("root", "operator", AssignLicence("search_ai"))
    poor.story.tell(teller.clock(T0 + 8 * DAY), *(teller.unit(f"u{i}", T0 + 9 * DAY + i) for i in range(2)))
    poor.does("olga", "workspace_owner", AddFunds(100 * USD, "p"), T0 + 10 * DAY)
    poor.does("root", "operator", ApproveUpgrade(Contract(9 * USD, 5, "monthly", "block")), T0 + 11 * DAY)
    poor.story.tell(*(teller.unit(f"s{i}", T0 + 12 * DAY + i, kind="session") for i in range(5)))
    poor.does("pay", "system", FailPayment(poor.story.requests[1].payment_id, "no cover"), T0 + 12 * DAY)
    calm, teller = Office(), Teller()
    calm.does("ben", "app_owner", Subscribe("bot", "essential", "monthly"))
    calm.does("pay", "system", SettlePayment(calm.story.requests[0].payment_id))
    calm.story.tell(teller.unit("a", T0 + 1), *(teller.clock(T0 + days * DAY) for days in (24, 84, 92)))
    return {(alert.kind, alert.app): alert.recipients for alert in [*poor.story.alerts, *calm.story.alerts]}


def test_every_kind_of_alert_names_its_recipients() -> None:
    """A1, A3, P10: an app's own alerts go to its owner too, the rest to the workspace's."""
    found = told_at_all()
    assert {kind for kind, _ in found} == set(get_args(AlertKind))
    assert {kind for kind, app in found if app} == {"app_stopped", "app_responding", "payment_failed", "renewal_due"}
    assert ("payment_failed", None) in found, "the contract's"
    for (kind, app), those in found.items():
        assert those == ((OLGA, BEN) if app == "bot" else (OLGA,)), kind


def _for(office: Office, app: str | None = None) -> list[str]:
    return [one.email for one in recipients(office.story.account(), app)]


def test_owners_come_and_go_and_each_address_is_written_to_once(office: Office) -> None:
    """A3, W2: all owners by name, then the app's; a person who left is told nothing more."""
    assert _for(office, "bot") == ["olga@acme.example", "ben@acme.example"]
    office.does("olga", "workspace_owner", AssignRole("ben", "owner"))
    assert _for(office, "bot") == ["ben@acme.example", "olga@acme.example"]
    office.does("olga", "workspace_owner", SetEmail("ben", "OLGA@acme.example"))
    assert _for(office, "bot") == ["OLGA@acme.example"]
    office.does("olga", "workspace_owner", SetEmail("ben", ""))
    assert _for(office, "bot") == ["olga@acme.example"]
    office.does("olga", "workspace_owner", TransferApp("bot", "olga"))
    office.does("olga", "workspace_owner", RemoveUser("ben"))
    assert _for(office, "bot") == ["olga@acme.example"]


def test_a_name_that_is_an_address_is_one_and_nobody_is_made_up(office: Office) -> None:
    """A3: nobody is known in a workspace that its first unit created."""
    office.story.tell(Teller().unit("u", T0 - 2 * DAY, workspace="globex", app="x"))
    assert recipients(office.story.account("globex"), "x") == ()
    office.does("olga", "workspace_owner", InviteUser("ann@acme.example"))
    office.does("ann@acme.example", "collaborator", AcceptInvitation())
    office.does("olga", "workspace_owner", TransferApp("bot", "ann@acme.example"))
    assert _for(office, "bot") == ["olga@acme.example", "ann@acme.example"]


@pytest.mark.parametrize(
    ("name", "role", "body", "why"),
    [
        ("ben", "app_owner", SetEmail("olga", "x@y"),
         "user: ben may set the own address only, not that of olga (W2, A3)."),
        ("ben", "app_owner", SetEmail("eve", "x@y"), "user: eve is no user of the workspace (W2)."),
        ("olga", "workspace_owner", SetEmail("olga", "olga@acme.example"),
         "email: olga@acme.example is the address of olga already (A3)."),
        ("olga", "workspace_owner", InviteUser("x", "a@b\nc@d"), "email: a@b\nc@d is no e-mail address (A3)."),
        ("olga", "workspace_owner", AssignRole("ben", "owner", "ben"), "email: ben is no e-mail address (A3)."),
    ],
)  # fmt: skip
def test_a_person_sets_the_own_address_and_an_owner_any_users(
    office: Office, name: str, role: str, body: CommandBody, why: str
) -> None:
    """A3, W2."""
    office.does("ben", "collaborator", SetEmail("ben", "b@acme.example"))
    office.does("olga", "workspace_owner", SetEmail("ben", "ben@acme.example"))
    (record,) = office.story.tell(Command("x", "acme", T0, Actor(role, name), body))  # type: ignore[arg-type]
    assert record.note == why


@pytest.mark.parametrize(
    ("text", "stands"),
    [
        ("olga@acme.example", True), ("o.l+ga@localhost", True), ("olga", False), ("@acme.example", False),
        ("a@b@c", False), ("a b@c", False), ("a@b, c@d", False), ("<a@b>", False), ("a@b\r\nTo: x", False),
        ("x" * 65 + "@y", False), ("\u00f6lga@acme.example", True), ("", False),
    ],
)  # fmt: skip
def test_what_can_stand_as_an_address(text: str, stands: bool) -> None:
    """A3: nothing that would break a mail's head."""
    assert is_address(text) is stands
