"""Replies to commands, and people who claim no role (law 3, W1-W3)."""

from __future__ import annotations

import msgspec
import pytest

from schemas.commands import (
    AcceptInvitation,
    Actor,
    AddFunds,
    AssignRole,
    Command,
    CommandBody,
    CreateApp,
    CreateWorkspace,
    GrantCredit,
    InviteUser,
    PublishApp,
    RequestUpgrade,
    SetAlerts,
    TransferApp,
)
from schemas.replies import outcome_of
from streams.accounts.partition import AccountsPartition
from tests.accounts.story import POLICY, T0, USD, Story, Teller, command, create, funds, raw


def test_each_command_is_answered_with_its_record_and_the_same_again_with_where_that_lies() -> None:
    """Law 3: units are not answered, repeats are; the answer to a repeat names the first one's offset."""
    story, teller = Story(), Teller()
    story.tell(teller.unit("u1"), create("c"), funds(1, "low"), funds(100 * USD, "low"), create("c"))
    created, low, other, again = story.replies
    assert [reply.record for reply in story.replies[:3]] == story.ledger[1:]
    assert [reply.command_id for reply in story.replies] == ["c", "low", "low", "c"]
    assert [outcome_of(reply.record) for reply in story.replies if reply.record] == ["refused", "refused", "conflict"]
    assert low.digest != other.digest
    assert (again.record, again.digest, again.decided_offset) == (None, created.digest, 1)
    assert [reply.decided_offset for reply in story.replies] == [1, 2, 3, 1]
    assert [reply.origin.offset for reply in story.replies] == [1, 2, 3, 4]


def test_outputs_of_a_command_are_numbered_without_gap_its_reply_last() -> None:
    """Law 2."""
    machine = AccountsPartition(3, POLICY)
    machine.restored(None)
    for at, fact in enumerate((create(), funds(100 * USD, "c"))):
        outputs = [msgspec.json.decode(output.value or b"") for output in machine.step(raw([fact], at))]
        assert [output["origin"]["index"] for output in outputs] == list(range(len(outputs)))
        assert outputs[-1]["command_id"] == fact.command_id


def test_a_command_as_received_is_the_same_at_another_time_and_one_with_a_time_of_its_own_is_not() -> None:
    """Law 3: a door's clock is no content; the first one's time stands."""
    story = Story()
    story.tell(create())
    received = [
        Command("r", "acme", T0 + at, Actor("operator", "olga"), funds(100 * USD, "x").body, True) for at in (1, 2)
    ]
    (record,) = story.tell(*received)
    assert (record.time_us, record.kind) == (T0 + 1, "credit_added")
    (other,) = story.tell(funds(100 * USD, "t", T0), funds(100 * USD, "t", T0 + 1))[1:]
    assert outcome_of(other) == "conflict"


def by(name: str, body: CommandBody, role: str = "user") -> Command:
    """A command of a person, who claims no role unless told so."""
    return msgspec.structs.replace(command(f"{name}-{body}"[:200], body, role=role), actor=Actor(role, name))  # type: ignore[arg-type]


def peopled() -> Story:
    """Olga owns the workspace, ben the app bot; cleo is a member, dan is invited."""
    story = Story()
    records = story.tell(
        by("olga", CreateWorkspace("olga")), by("olga", InviteUser("ben")), by("ben", AcceptInvitation()),
        by("olga", InviteUser("cleo")), by("cleo", AcceptInvitation()), by("olga", InviteUser("dan")),
        by("ben", CreateApp("bot")),
    )  # fmt: skip
    assert [record.kind for record in records if record.kind == "command_refused"] == []
    return story


REFUSED = [
    ("ben", AddFunds(100 * USD, "p"), "actor.name: ben may not add funds; operator or system may (W2, W3)."),
    ("olga", AddFunds(100 * USD, "p"), "actor.name: olga may not add funds; operator or system may (W2, W3)."),
    ("olga", GrantCredit(1, "me"), "actor.name: olga may not grant credit; operator may (W2, W3)."),
    (
        "cleo",
        PublishApp("bot"),
        "actor.name: cleo may not publish an app; operator or workspace owner or app owner may",
    ),
    ("ben", InviteUser("eve"), "actor.name: ben may not invite a user; operator or workspace owner may (W2, W3)."),
    ("ben", RequestUpgrade(), "actor.name: ben may not request an upgrade; workspace owner or app owner may (W2, W3)."),
    ("dan", CreateApp("x"), "actor.name: dan has not accepted the invitation yet (W2)."),
    ("eve", CreateApp("x"), "actor.name: eve is no user of the workspace (W1, W2)."),
    ("eve", CreateWorkspace("eve"), "actor.name: eve is no user of the workspace (W1, W2)."),
]


@pytest.mark.parametrize(("name", "body", "why"), REFUSED)
def test_a_person_who_claims_no_role_may_not_do_what_none_of_theirs_may(name: str, body: CommandBody, why: str) -> None:
    """W2, W3."""
    (record,) = peopled().tell(by(name, body))
    assert record.note.startswith(why)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("olga", AssignRole("ben", "owner")), ("olga", PublishApp("bot")), ("olga", TransferApp("bot", "cleo")),
        ("olga", RequestUpgrade()), ("ben", RequestUpgrade("bot")), ("ben", PublishApp("bot")),
        ("cleo", CreateApp("x")), ("olga", SetAlerts((1,), ())), ("dan", AcceptInvitation()),
    ],
)  # fmt: skip
def test_a_person_who_claims_no_role_may_do_what_any_of_theirs_may(name: str, body: CommandBody) -> None:
    """W2: owner of the workspace, owner of the app, member, invited."""
    (record,) = peopled().tell(by(name, body))
    assert record.kind != "command_refused", record.note
    assert record.actor == f"user:{name}"


def test_a_workspace_that_knows_nobody_obeys_no_person_and_nobody_creates_one_for_another() -> None:
    """W1: unlike a claimed role, which is taken as it is there."""
    story = Story()
    story.tell(Teller().unit("u1"))
    (record,) = story.tell(by("eve", SetAlerts((1,), ())))
    assert record.note == "actor.name: eve is no user of the workspace (W1, W2)."
    (record,) = Story().tell(by("eve", CreateWorkspace("olga")))
    assert record.note == "owner: olga is not eve; a user creates a workspace of their own (W1)."
    (record,) = Story().tell(by("eve", CreateApp("x")))
    assert record.note == "workspace: acme does not exist; it must be created first (W1)."
