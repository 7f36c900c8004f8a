"""People and products: W1-W3, P10. Who claims a role must hold it."""

from __future__ import annotations

import pytest

from schemas.commands import (
    AcceptInvitation,
    Actor,
    AssignLicence,
    AssignRole,
    Command,
    CommandBody,
    CreateApp,
    InviteCollaborator,
    InviteUser,
    PublishApp,
    RemoveUser,
    TransferApp,
)
from streams.accounts.standing import buttons
from tests.accounts.story import POLICY, T0, Story, Teller, create


class Office:
    """A workspace of olga's; `does` gives a command in somebody's name and says what came of it."""

    def __init__(self) -> None:
        self.story = Story()
        self.story.tell(create())

    def does(self, name: str, role: str, body: CommandBody) -> str:
        """The note of a refusal, "" for a command that was obeyed."""
        given = Command(f"c{self.story.told}", "acme", T0, Actor(role, name), body)  # type: ignore[arg-type]
        (record,) = self.story.tell(given)
        return record.note if record.kind == "command_refused" else ""


@pytest.fixture
def office() -> Office:
    """Ben has joined and owns `bot`; ann is invited."""
    office = Office()
    for name, role, body in (
        ("olga", "workspace_owner", InviteUser("ben")),
        ("ben", "collaborator", AcceptInvitation()),
        ("olga", "workspace_owner", InviteUser("ann")),
        ("ben", "collaborator", CreateApp("bot")),
    ):
        assert office.does(name, role, body) == ""
    return office


def test_who_creates_a_workspace_owns_it_and_who_creates_an_app_owns_that(office: Office) -> None:
    """W1."""
    account = office.story.account()
    assert (account.people, account.apps["bot"].owner) == ({"olga": "owner", "ben": "member", "ann": "invited"}, "ben")


@pytest.mark.parametrize(
    ("name", "role", "body", "why"),
    [
        ("eve", "app_owner", PublishApp("bot"), "actor.name: eve is no user of the workspace (W1, W2)."),
        ("ben", "workspace_owner", InviteUser("x"), "actor.name: ben is no owner of the workspace (W2)."),
        ("ann", "collaborator", CreateApp("x"), "actor.name: ann has not accepted the invitation yet (W2)."),
        ("olga", "app_owner", PublishApp("bot"), "actor.name: olga may not publish an app: bot belongs to ben (W2)."),
        ("eve", "collaborator", AcceptInvitation(), "actor.name: eve is no user of the workspace (W1, W2)."),
        ("ben", "collaborator", AcceptInvitation(), "actor.name: ben has no open invitation (W2)."),
        (
            "olga",
            "workspace_owner",
            AssignRole("olga", "member"),
            "user: olga is the only owner; name another first (W2).",
        ),
        ("olga", "workspace_owner", AssignRole("ann", "owner"), "user: ann has not accepted the invitation yet (W2)."),
        ("olga", "workspace_owner", RemoveUser("ben"), "user: ben owns bot; transfer it first (W2)."),
        (
            "ben",
            "app_owner",
            InviteCollaborator("bot", "ann", "developer"),
            "user: ann is no user of the workspace (W2).",
        ),
        ("ben", "app_owner", TransferApp("bot", "eve"), "user: eve is no user of the workspace (W2)."),
    ],
)
def test_a_role_that_is_not_held_is_refused(office: Office, name: str, role: str, body: CommandBody, why: str) -> None:
    """W2, W3."""
    assert office.does(name, role, body) == why


def test_an_app_owner_gives_the_app_away_and_a_workspace_owner_may_too(office: Office) -> None:
    """W2: the new owner may then do what the old one could."""
    assert office.does("ann", "collaborator", AcceptInvitation()) == ""
    assert office.does("ben", "app_owner", InviteCollaborator("bot", "ann", "developer")) == ""
    assert office.story.account().apps["bot"].collaborators == {"ann": "developer"}
    assert office.does("ben", "app_owner", TransferApp("bot", "ann")) == ""
    assert office.story.account().apps["bot"].collaborators == {}
    assert office.does("ben", "app_owner", PublishApp("bot")).endswith("bot belongs to ann (W2).")
    assert office.does("olga", "workspace_owner", TransferApp("bot", "ben")) == ""
    assert office.does("ben", "app_owner", PublishApp("bot")) == ""
    assert office.does("olga", "workspace_owner", RemoveUser("ann")) == ""


def test_a_workspace_that_began_with_a_unit_gets_its_owner_from_an_operator() -> None:
    """W1, W3, Decided."""
    office = Office()
    office.story = Story()
    office.story.tell(Teller().unit("u"))
    assert office.does("anyone", "workspace_owner", InviteUser("x")) == ""
    office.story = Story()
    office.story.tell(Teller().unit("u"))
    assert office.does("root", "operator", AssignRole("olga", "owner")) == ""
    assert (
        office.does("eve", "workspace_owner", InviteUser("x"))
        == "actor.name: eve is no user of the workspace (W1, W2)."
    )


def test_an_operator_is_no_user_of_the_workspace_whatever_the_name(office: Office) -> None:
    """W3: ann is invited; the operator ann is somebody else."""
    assert office.does("ann", "operator", AssignLicence("search_ai")) == ""


def test_an_app_is_made_for_each_product_once(office: Office) -> None:
    """P10."""
    why = office.does("olga", "workspace_owner", CreateApp("twice", ("search_ai", "search_ai")))
    assert why == "products: search_ai is named twice (P10)."


def test_buttons_show_what_is_licensed_and_apps_are_created_for_that_only(office: Office) -> None:
    """P10."""
    account = office.story.account()
    assert list(buttons(account, POLICY).values()) == ["try_now", "contact_us", "try_now", "contact_us"]
    for product in ("automation_ai", "search_ai"):
        assert office.does("root", "operator", AssignLicence(product)) == ""
    account = office.story.account()
    assert list(buttons(account, POLICY).values()) == ["create_new", "create_new", "try_now", "contact_us"]
    why = office.does("ben", "collaborator", CreateApp("x", ("agent_ai",)))
    assert why == "products: agent_ai is not licensed; apps can be created for automation_ai, search_ai (P10)."
    assert office.does("ben", "collaborator", CreateApp("x", ("search_ai",))) == ""
