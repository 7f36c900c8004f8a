"""Every command in every state by everybody: accepted, or refused with a sentence and nothing changed (W3).

Complete by construction: a kind of command that no row names, and a role that no actor has, fail.
"""

from __future__ import annotations

from typing import NamedTuple, get_args, get_type_hints

import pytest

from schemas.changes import Contract, LateEvent, LateUnit
from schemas.commands import (
    AcceptInvitation,
    Actor,
    AddFunds,
    AdmitLate,
    ApproveUpgrade,
    AssignLicence,
    AssignRole,
    CancelPlan,
    CancelSupport,
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
    RequestFunds,
    RequestUpgrade,
    SetAlerts,
    SetAutoPayment,
    SetEmail,
    SettlePayment,
    StartTrial,
    StopAutoPayment,
    Subscribe,
    SubscribeSupport,
    TransferApp,
    UnpublishApp,
)
from streams.accounts.commanding import RULES
from streams.accounts.permissions import PERMITS
from streams.accounts.state import AccountState
from tests.accounts.story import T0, USD, Story
from tests.accounts.test_laws import copy, written

FEE = f"acme/fee/app/bot/{T0}"
SUPPORT_FEE = f"acme/fee/support/{T0}"
ASKED = "acme/funds/s7"
ASKED_FOR_BOT = "acme/funds/s8"
LATE = LateEvent("/gateways/one", "e1", 0, 17)
CONTRACT = ApproveUpgrade(Contract(0, 10, "yearly", "block"))


class Given(NamedTuple):
    """A command and who gives it."""

    role: str
    name: str
    body: CommandBody


def _by(role: str, name: str, *bodies: CommandBody) -> tuple[Given, ...]:
    return tuple(Given(role, name, body) for body in bodies)


def _joins(name: str) -> tuple[Given, ...]:
    return (*_by("workspace_owner", "olga", InviteUser(name)), *_by("collaborator", name, AcceptInvitation()))


def _root(*bodies: CommandBody) -> tuple[Given, ...]:
    return _by("operator", "root", *bodies)


NEW = CreateWorkspace("olga")
FOUNDED = (*_by("system", "signup", NEW), *_joins("ben"), *_joins("dan"))
FUNDED = (*FOUNDED, *_root(AddFunds(100 * USD, "first")))
DRAFT = (*FOUNDED, *_by("collaborator", "ben", CreateApp("bot")))
LIVE = (*DRAFT, *_by("app_owner", "ben", PublishApp("bot")))
SUBSCRIBED = (*LIVE, *_by("app_owner", "ben", Subscribe("bot", "essential", "monthly")))
SUPPORTED = (*LIVE, *_by("workspace_owner", "olga", SubscribeSupport()))
STATES: dict[str, tuple[Given, ...]] = {
    "nothing": (),
    "workspace": FOUNDED,
    "funded": FUNDED,
    "asked": (*LIVE, *_root(RequestFunds(100 * USD, "wire"), RequestFunds(100 * USD, "card", "bot"))),
    "bought": (*LIVE, *_root(RequestFunds(100 * USD, "wire"), SettlePayment(ASKED))),
    "auto": (*FUNDED, *_root(SetAutoPayment(50 * USD, 100 * USD, "ach"))),
    "invited": (*LIVE, *_by("workspace_owner", "olga", InviteUser("ann"))),
    "joined": (*LIVE, *_joins("ann")),
    "works": (*LIVE, *_joins("ann"), *_by("app_owner", "ben", InviteCollaborator("bot", "ann", "developer"))),
    "licensed": (*LIVE, *_root(AssignLicence("search_ai"))),
    "draft": DRAFT,
    "live": LIVE,
    "unpublished": (*LIVE, *_root(UnpublishApp("bot"))),
    "trial": (*LIVE, *_root(StartTrial("bot"))),
    "subscribed": SUBSCRIBED,
    "paid": (*SUBSCRIBED, *_root(SettlePayment(FEE))),
    "failed": (*SUBSCRIBED, *_root(FailPayment(FEE, "no cover"))),
    "cancelled": (*SUBSCRIBED, *_root(CancelPlan("bot"))),
    "resumed": (*SUBSCRIBED, *_root(CancelPlan("bot"), Subscribe("bot", "essential", "monthly"))),
    "requested": (*LIVE, *_by("app_owner", "ben", RequestUpgrade("bot"))),
    "enterprise": (*LIVE, *_root(CONTRACT)),
    "supported": SUPPORTED,
    "leaving": (*SUPPORTED, *_root(CancelSupport())),
}
_APP = set(STATES) - {"nothing", "workspace", "funded", "auto"}
_EXISTS = set(STATES) - {"nothing"}
_PAID = {"subscribed", "paid", "failed", "resumed"}
_ANN = {"invited", "joined", "works"}
_JOINED = {"joined", "works"}
_SUPPORTED = {"supported", "leaving"}
ACCEPTED: list[tuple[CommandBody, set[str]]] = [
    (NEW, {"nothing"}),
    (CreateWorkspace("olga", "no address"), set()),
    (AddFunds(100 * USD, "p"), _EXISTS),
    (RequestFunds(100 * USD, "wire"), _EXISTS - {"asked"}),
    (RequestFunds(20_000 * USD, "card", "bot"), _APP - {"asked"}),
    (RequestFunds(99 * USD, "ach"), set()),
    (RequestFunds(20_001 * USD, "ach", "bot"), set()),
    (AdmitLate("bot", "web", "ann", (LATE,), (LateUnit("late-1", "conversation", T0, 1, 1),), 0, "why"), set()),
    (SettlePayment(ASKED), {"asked"}),
    (FailPayment(ASKED, "no cover"), {"asked"}),
    (SettlePayment(ASKED_FOR_BOT), {"asked"}),
    (GrantCredit(1, "goodwill"), _EXISTS),
    (CreateApp("bot"), {"workspace", "funded", "auto"}),
    (PublishApp("bot"), {"draft", "unpublished"}),
    (UnpublishApp("bot"), _APP - {"draft", "unpublished"}),
    (StartTrial("bot"), _APP - {"trial", *_PAID, "cancelled", "enterprise"}),
    (Subscribe("bot", "essential", "monthly"), _APP - {*_PAID, "enterprise"}),
    (Subscribe("bot", "advanced", "yearly"), _APP - {"enterprise"}),
    (CancelPlan("bot"), {"trial", *_PAID}),
    (SubscribeSupport(), _EXISTS - {"supported", "enterprise"}),
    (SubscribeSupport("enterprise"), set()),
    (CancelSupport(), {"supported"}),
    (RequestUpgrade("bot"), _APP - {"requested", "enterprise"}),
    (CONTRACT, _EXISTS),
    (DeclineUpgrade("no"), {"requested"}),
    (EndContract("over"), {"enterprise"}),
    (InviteUser("ann"), _EXISTS - _ANN),
    (AcceptInvitation(), {"invited"}),
    (SetEmail("ben", "ben@acme.example"), _EXISTS),
    (SetEmail("ben", "no address"), set()),
    (AssignRole("ann", "owner"), _JOINED),
    (AssignRole("olga", "member"), set()),
    (RemoveUser("ann"), _ANN),
    (RemoveUser("olga"), set()),
    (InviteCollaborator("bot", "ann", "developer"), {"joined"}),
    (RemoveCollaborator("bot", "ann"), {"works"}),
    (TransferApp("bot", "ann"), _JOINED),
    (AssignLicence("search_ai"), _EXISTS - {"licensed"}),
    (RemoveLicence("search_ai"), {"licensed"}),
    (CreateApp("other", ("search_ai",)), _EXISTS),
    (CreateApp("other", ("agent_ai",)), _EXISTS - {"licensed"}),
    (CreateApp("other", ("magic",)), set()),
    (MoveCredit(100 * USD, to_app="bot"), {"funded", "auto", "bought"}),
    (SetAutoPayment(50 * USD, 100 * USD, "card"), {"funded", "auto", "bought"}),
    (SetAutoPayment(50 * USD, 100 * USD, "wire"), set()),
    (SetAutoPayment(50 * USD, 99 * USD, "ach"), set()),
    (StopAutoPayment(), {"auto"}),
    (SetAlerts((10 * USD,), (20,)), _EXISTS),
    (SettlePayment(FEE), {"subscribed", "failed", "cancelled", "resumed"}),
    (FailPayment(FEE, "no cover"), {"subscribed", "cancelled", "resumed"}),
    (SettlePayment(SUPPORT_FEE), _SUPPORTED),
    (FailPayment(SUPPORT_FEE, "no cover"), _SUPPORTED),
]
ACTORS = (
    ("operator", "root"),
    ("system", "pay"),
    ("workspace_owner", "olga"),
    ("app_owner", "ben"),
    ("app_owner", "dan"),
    ("collaborator", "dan"),
    ("collaborator", "ann"),
    ("workspace_owner", "ben"),
    ("workspace_owner", "eve"),
    ("app_owner", "eve"),
    ("collaborator", "eve"),
    ("user", "olga"),
    ("user", "ben"),
    ("user", "dan"),
    ("user", "ann"),
    ("user", "eve"),
)
"""Who tries: dan is a member and owns no app, ann is whoever the state says, eve is a stranger, and some lie. A user
claims no role, and may what any role may that the account knows of."""


def _may(role: str, name: str, body: CommandBody, state: str) -> bool:
    """W2, W3 in other words than the code's: whether this person may give this command in this state."""
    if role == "user":
        return _may_as_known(name, body, state)
    if role not in PERMITS[type(body)].roles:
        return False
    if role in ("operator", "system") or state == "nothing":
        return True
    if name == "eve" or (role == "workspace_owner" and name != "olga"):
        return False
    if name == "ann" and state not in _JOINED:
        return state == "invited" and isinstance(body, AcceptInvitation)
    if isinstance(body, AcceptInvitation):
        return False
    if isinstance(body, SetEmail):
        return name in ("olga", "ben")
    if role == "app_owner" and isinstance(body, RequestFunds) and body.app is None:
        return False
    return role != "app_owner" or name == "ben" or state not in _APP or getattr(body, "app", "") != "bot"


def _may_as_known(name: str, body: CommandBody, state: str) -> bool:
    """The same for a person who claims no role; nobody's word is taken for a payment."""
    if state == "nothing":
        return not isinstance(body, CreateWorkspace) or body.owner == name
    if isinstance(body, AddFunds):
        return False
    held = {"olga": ("workspace_owner", "collaborator"), "ben": ("collaborator",)}.get(name, ("collaborator",))
    if name == "ben" and state in _APP and getattr(body, "app", "") == "bot":
        held = (*held, "app_owner")
    return any(_may(role, name, body, state) for role in held)


def founded(state: str) -> Story:
    story = Story()
    for at, (role, name, body) in enumerate(STATES[state]):
        (record,) = story.tell(Command(f"s{at}", "acme", T0, Actor(role, name), body))  # type: ignore[arg-type]
        assert record.kind != "command_refused", record.note
    return story


def content(state: AccountState) -> dict[bytes, bytes]:
    """An account's bytes but for what every record moves: place in the chain, and command ids."""
    bare = copy(state)
    bare.sequence, bare.last_hash, bare.taken, bare.taken_pages = 0, "", [], 0
    return written(bare)


def test_the_tables_name_every_command_and_the_actors_every_role() -> None:
    """W3."""
    kinds = set(get_args(CommandBody))
    assert {type(body) for body, _ in ACCEPTED} == kinds
    assert set(PERMITS) == kinds
    assert set(RULES) == kinds
    assert {role for role, _ in ACTORS} == set(get_args(get_type_hints(Actor)["role"]))
    assert {given.body.__class__ for given in STATES["enterprise"]} < kinds


@pytest.mark.parametrize("state", STATES)
def test_each_command_is_accepted_or_refused_with_a_sentence_and_nothing_changed(state: str) -> None:
    """W1-W3, P3-P11, C4, C10, E4, A3."""
    story, number = founded(state), 0
    before = content(story.machine.accounts.get("acme") or AccountState("acme"))
    for body, states in ACCEPTED:
        for role, name in ACTORS:
            outputs, number = len(story.outputs), number + 1
            given = Command(f"x{number}", "acme", T0, Actor(role, name), body)  # type: ignore[arg-type]
            (record,) = story.tell(given)
            where = f"{state}, {role}:{name}, {body}: {record.note}"
            assert (record.kind != "command_refused") == (_may(role, name, body, state) and state in states), where
            if record.kind != "command_refused":
                assert record.actor == f"{role}:{name}", where
                story = founded(state)
                continue
            assert len(story.outputs) == outputs + 1, where
            assert content(story.account()) == before, where
            assert record.note.endswith(").") and ": " in record.note, where
            claimed = role != "user" and role not in PERMITS[type(body)].roles
            assert record.note.startswith("actor.role") == claimed, where
