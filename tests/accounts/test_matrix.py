"""Every command in every state by every role: accepted, or refused with a sentence and nothing changed (W3)."""

from __future__ import annotations

import msgspec
import pytest

from schemas.changes import Contract
from schemas.commands import (
    AcceptInvitation,
    Actor,
    AddFunds,
    ApproveUpgrade,
    AssignLicence,
    AssignRole,
    CancelPlan,
    Command,
    CommandBody,
    CreateApp,
    CreateWorkspace,
    DeclineUpgrade,
    EndContract,
    FailPayment,
    GrantCredit,
    InviteCollaborator,
    InviteUser,
    MoveCredit,
    PublishApp,
    RemoveCollaborator,
    RemoveLicence,
    RemoveUser,
    RequestUpgrade,
    SetAlerts,
    SetAutoPayment,
    SetEmail,
    SettlePayment,
    StartTrial,
    StopAutoPayment,
    Subscribe,
    TransferApp,
    UnpublishApp,
)
from streams.accounts.permissions import PERMITS
from streams.accounts.state import AccountState
from tests.accounts.story import T0, USD, Story, command
from tests.accounts.test_laws import copy, written

ROLES = ("operator", "workspace_owner", "app_owner", "collaborator", "system")
FEE = f"acme/fee/app/bot/{T0}"
CONTRACT = ApproveUpgrade(Contract(0, 10, "yearly", "block"))
NEW = CreateWorkspace("olga")
FUNDED = (NEW, AddFunds(100 * USD, "first"))
DRAFT = (NEW, CreateApp("bot"))
LIVE = (*DRAFT, PublishApp("bot"))
SUBSCRIBED = (*LIVE, Subscribe("bot", "essential", "monthly"))
STATES: dict[str, tuple[CommandBody, ...]] = {
    "nothing": (),
    "workspace": (NEW,),
    "funded": FUNDED,
    "auto": (*FUNDED, SetAutoPayment(50 * USD, 100 * USD, "ach")),
    "invited": (*LIVE, InviteUser("ben")),
    "joined": (*LIVE, InviteUser("ben"), AcceptInvitation()),
    "licensed": (*LIVE, AssignLicence("search_ai")),
    "draft": DRAFT,
    "live": LIVE,
    "unpublished": (*LIVE, UnpublishApp("bot")),
    "trial": (*LIVE, StartTrial("bot")),
    "subscribed": SUBSCRIBED,
    "paid": (*SUBSCRIBED, SettlePayment(FEE)),
    "failed": (*SUBSCRIBED, FailPayment(FEE, "no cover")),
    "cancelled": (*SUBSCRIBED, CancelPlan("bot")),
    "requested": (*LIVE, RequestUpgrade("bot")),
    "enterprise": (*LIVE, CONTRACT),
}
_APP = set(STATES) - {"nothing", "workspace", "funded", "auto"}
_EXISTS = {"workspace", "funded", "auto", *_APP}
_PLANNED = {"trial", "subscribed", "paid", "failed"}
ACCEPTED: list[tuple[CommandBody, set[str]]] = [
    (NEW, {"nothing"}),
    (AddFunds(100 * USD, "p"), _EXISTS),
    (GrantCredit(1, "goodwill"), _EXISTS),
    (CreateApp("bot"), {"workspace", "funded", "auto"}),
    (PublishApp("bot"), {"draft", "unpublished"}),
    (UnpublishApp("bot"), _APP - {"draft", "unpublished"}),
    (StartTrial("bot"), {"draft", "live", "unpublished", "requested", "invited", "joined", "licensed"}),
    (Subscribe("bot", "essential", "monthly"), _APP - {"subscribed", "paid", "failed", "cancelled", "enterprise"}),
    (Subscribe("bot", "advanced", "yearly"), _APP - {"enterprise"}),
    (CancelPlan("bot"), _PLANNED),
    (RequestUpgrade("bot"), _APP - {"requested", "enterprise"}),
    (CONTRACT, _EXISTS),
    (DeclineUpgrade("no"), {"requested"}),
    (EndContract("over"), {"enterprise"}),
    (InviteUser("ben"), _EXISTS - {"invited", "joined"}),
    (AcceptInvitation(), set()),
    (SetEmail("olga", "olga@acme.example"), _EXISTS),
    (SetEmail("olga", "no address"), set()),
    (AssignRole("ben", "owner"), {"joined"}),
    (AssignRole("olga", "member"), set()),
    (RemoveUser("ben"), {"invited", "joined"}),
    (RemoveUser("olga"), set()),
    (InviteCollaborator("bot", "ben", "developer"), {"joined"}),
    (RemoveCollaborator("bot", "ben"), set()),
    (TransferApp("bot", "ben"), {"joined"}),
    (AssignLicence("search_ai"), _EXISTS - {"licensed"}),
    (RemoveLicence("search_ai"), {"licensed"}),
    (CreateApp("other", ("search_ai",)), _EXISTS),
    (CreateApp("other", ("agent_ai",)), _EXISTS - {"licensed"}),
    (CreateApp("other", ("magic",)), set()),
    (MoveCredit(100 * USD, to_app="bot"), {"funded", "auto"}),
    (SetAutoPayment(50 * USD, 100 * USD, "card"), {"funded", "auto"}),
    (SetAutoPayment(50 * USD, 100 * USD, "wire"), set()),
    (SetAutoPayment(50 * USD, 99 * USD, "ach"), set()),
    (StopAutoPayment(), {"auto"}),
    (SetAlerts((10 * USD,), (20,)), _EXISTS),
    (SettlePayment(FEE), {"subscribed", "failed", "cancelled"}),
    (FailPayment(FEE, "no cover"), {"subscribed", "cancelled"}),
]


def role_for(body: CommandBody) -> str:
    """A role that may give a command."""
    return PERMITS[type(body)].roles[-1]


def _named(given: Command) -> Command:
    """Ben accepts, olga does the rest."""
    if not isinstance(given.body, AcceptInvitation):
        return given
    return msgspec.structs.replace(given, actor=Actor(given.actor.role, "ben"))


def _story(state: str) -> Story:
    story = Story()
    for at, body in enumerate(STATES[state]):
        (record,) = story.tell(_named(command(f"s{at}", body, role=role_for(body))))
        assert record.kind != "command_refused", record.note
    return story


def content(state: AccountState) -> list[bytes | None]:
    """An account's bytes but for what every record moves: place in the chain, and command ids."""
    bare = copy(state)
    bare.sequence, bare.last_hash, bare.commands = 0, "", {}
    return written(bare)


def test_the_tables_name_every_command() -> None:
    """W3."""
    assert {type(body) for body, _ in ACCEPTED} == set(PERMITS)


@pytest.mark.parametrize("state", STATES)
def test_each_command_is_accepted_or_refused_with_a_sentence_and_nothing_changed(state: str) -> None:
    """W1-W3, P3-P11, C4, C10, E4."""
    for body, states in ACCEPTED:
        for role in ROLES:
            story = _story(state)
            before = content(story.machine.accounts.get("acme") or AccountState("acme"))
            outputs = len(story.outputs)
            (record,) = story.tell(command("x", body, role=role))
            where = f"{state}, {role}, {body}: {record.note}"
            allowed = role in PERMITS[type(body)].roles
            assert (record.kind != "command_refused") == (allowed and state in states), where
            if record.kind == "command_refused":
                assert len(story.outputs) == outputs + 1, where
                assert content(story.account()) == before, where
                assert record.note.endswith(").") and ": " in record.note, where
                assert record.note.startswith("actor.role") != allowed, where
