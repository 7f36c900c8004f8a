"""Commands: C4's bounds, W3's roles, law 3's identities, and payments that are settled once (C10)."""

from __future__ import annotations

import pytest

from schemas.changes import Contract
from schemas.commands import Actor, AddFunds, ApproveUpgrade, Command, CreateWorkspace
from tests.accounts.story import CENT, DAY, T0, USD, Story, Teller, amounts, command, create, credit, funds
from tests.accounts.test_laws import written

REFUSED = [
    (funds(100 * USD - 1, "c"), "amount_micros: USD 99.999999 is below the least top-up, USD 100.00 (C4)."),
    (funds(20_000 * USD + 1, "c"), "amount_micros: USD 20,000.000001 is above the largest top-up, USD 20,000.00 (C4)."),
    (
        funds(100 * USD, "c", role="app_owner"),
        "actor.role: app_owner may not add funds; operator or workspace owner or system may (W2, W3).",
    ),
    (
        credit(1, "c", role="workspace_owner"),
        "actor.role: workspace_owner may not grant credit; operator may (W2",
    ),
    (credit(1, "c", role="system"), "actor.role: system may not grant credit; operator may (W2, W3)."),
    (
        create("c", role="collaborator"),
        "actor.role: collaborator may not create a workspace; operator or workspace owner or system may (W2, W3).",
    ),
    (create("c"), "workspace: acme exists already, created at 2026-01-01T00:00:00Z (W1)."),
    (funds(1, "c", role="collaborator"), "actor.role: collaborator may not add funds"),
    (funds(1, "c", payment="paid"), "payment_id: paid is settled already with another amount or app"),
    (funds(150 * USD, "c", payment="paid"), "payment_id: paid is settled already; the credit it brought stands"),
    (
        funds(150 * USD, "c", payment="paid", app="bot"),
        "payment_id: paid is settled already with another amount or app",
    ),
    (funds(200 * USD, "first", payment="x"), "command_id: first was given before with other content"),
    (
        funds(200 * USD, "c", payment="acme/auto/3"),
        "payment_id: acme/auto/3 is named like what is asked for, and was not asked for (C10).",
    ),
]


@pytest.mark.parametrize(("refused", "why"), REFUSED)
def test_a_command_that_is_not_allowed_is_refused_with_the_reason_and_changes_no_balance(
    refused: Command, why: str
) -> None:
    """C4, C10, W1-W3: field, value, rule; the record has no lines, and the same again is no news (law 3)."""
    story = Story()
    *_, before = story.tell(create(), funds(150 * USD, "first", payment="paid"))
    (record,) = story.tell(refused)
    assert (record.kind, record.lines, record.sequence) == ("command_refused", (), 3)
    assert record.note.startswith(why)
    assert record.balances == before.balances
    assert record.actor == f"{refused.actor.role}:olga"
    held = written(story.account())
    assert story.tell(refused) == []
    assert written(story.account()) == held


@pytest.mark.parametrize("amount", [100 * USD, 20_000 * USD])
@pytest.mark.parametrize("role", ["operator", "workspace_owner", "system"])
@pytest.mark.parametrize("app", [None, "bot"])
def test_funds_within_the_bounds_are_added_shared_or_to_one_app(amount: int, role: str, app: str | None) -> None:
    """C4: 100 and 20,000 exactly are allowed; paid credit does not expire."""
    story = Story()
    _, added = story.tell(create(), funds(amount, "c", T0 + 5, app, role))
    assert (added.kind, added.time_us, added.cause) == ("credit_added", T0 + 5, "c")
    assert amounts(added) == [("issued:paid", -amount), ("payment/pay-c", amount)]
    assert (added.balances.paid_shared_micros, added.balances.paid_apps_micros) == (
        (amount, 0) if app is None else (0, amount)
    )
    assert (added.grants[0].expires_us, added.grants[0].app) == (None, app)


def test_an_operator_grants_free_credit_of_any_amount_for_90_days() -> None:
    """C1, W3; the reason is noted."""
    _, added = Story().tell(create(), credit(7 * CENT, "g", T0 + DAY))
    assert amounts(added) == [("issued:free", -7 * CENT), ("grant/g", 7 * CENT)]
    assert (added.grants[0].expires_us, added.note) == (T0 + 91 * DAY, "goodwill")


@pytest.mark.parametrize("early", [funds(100 * USD, "c"), credit(1, "c")])
def test_a_workspace_that_does_not_exist_is_given_nothing_but_can_be_created_later(early: Command) -> None:
    """W1: refused as its first record; the chain goes on from there (L1, L2)."""
    story = Story()
    (refused,) = story.tell(early)
    assert refused.note == "workspace: acme does not exist; it must be created first (W1)."
    (created,) = story.tell(create())
    assert (created.kind, created.sequence, created.previous_hash) == ("workspace_created", 2, refused.hash)
    assert story.alerts == []


def test_a_command_id_stays_taken_after_a_refusal_and_each_other_content_is_refused_once() -> None:
    """Law 3: an identity means one content for ever."""
    story = Story()
    story.tell(create(), funds(1, "c"))
    assert [r.kind for r in story.tell(funds(100 * USD, "c"), funds(200 * USD, "c"))] == ["command_refused"] * 2
    assert story.tell(funds(1, "c"), funds(100 * USD, "c"), funds(200 * USD, "c")) == []


def test_a_stranger_takes_no_command_id_from_those_of_the_house() -> None:
    """W3: what is refused changes nothing; anybody who is signed in may ask, and under any id."""
    story = Story()
    stranger = Actor("user", "mallory")
    early = Command("create", "acme", T0, stranger, CreateWorkspace("eve"))
    later = Command("pay", "acme", T0, stranger, AddFunds(100 * USD, "pay-pay"))
    told = story.tell(early, create("create"), later, funds(200 * USD, "pay"))
    kinds = ["command_refused", "workspace_created", "command_refused", "credit_added"]
    assert [record.kind for record in told] == kinds
    assert [reply.decided_offset for reply in story.replies] == [0, 1, 2, 3]
    held = written(story.account())
    assert story.tell(early, later, funds(200 * USD, "pay")) == []
    assert [reply.decided_offset for reply in story.replies[4:]] == [0, 2, 3]
    assert written(story.account()) == held
    (conflict,) = story.tell(funds(300 * USD, "pay"))
    assert conflict.note.startswith("command_id: pay was given before with other content")


def test_ids_as_long_as_the_contract_allows_make_records_the_contract_allows() -> None:
    """256 characters of command, payment and actor; the ledger record decodes."""
    story = Story()
    long = "x" * 256
    body = AddFunds(100 * USD, long)
    given = command(long, body)
    story.tell(create(), given, command("again", body))
    kinds = [record.kind for record in story.ledger]
    assert kinds == ["workspace_created", "credit_added", "command_refused"]
    assert story.ledger[1].grants[0].grant_id.startswith("acme/payment/sha256:")


@pytest.mark.parametrize(
    "contract",
    [
        Contract(10**30, 9, "monthly", "block"),
        Contract(0, 10**30, "monthly", "block"),
        Contract(0, 9, "monthly", "block", ends_us=10**30),
        Contract(0, 9, "monthly", "block", usage_limits={"apps": 10**30}),
    ],
)
def test_a_number_that_no_changelog_takes_is_refused_and_stops_nothing(contract: Contract) -> None:
    """Law 7, C7: JSON tells numbers of any size, and the account is written down in 64 bits."""
    story = Story()
    story.tell(create())
    (record,) = story.tell(command("up", ApproveUpgrade(contract), T0, "operator"))
    assert (record.kind, record.note) == ("command_refused", "body: a number is beyond 64 bits (C7).")
    assert list(story.machine.take_changes()), "and the account can be written down"


_LIMITS = {"apps": 10**12 + 1}


@pytest.mark.parametrize(
    ("contract", "why"),
    [
        (
            Contract(10**15 + 1, 9, "monthly", "block"),
            "contract.price_micros: USD 1,000,000,000.000001 is above the most that can be agreed on, "
            "USD 1,000,000,000.00 (C7).",
        ),
        (
            Contract(0, 0, "monthly", "overage", 2**63 - 1),
            "contract.overage_micros: USD 9,223,372,036,854.775807 is above the most that can be agreed on, "
            "USD 1,000,000.00 (C7).",
        ),
        (
            Contract(0, 2**64 - 1, "monthly", "block"),
            "contract.allowed_requests: 18,446,744,073,709,551,615 is above the most that can be agreed on, "
            "1,000,000,000,000 (P3).",
        ),
        (
            Contract(0, 9, "monthly", "block", usage_limits=_LIMITS),
            "contract.usage_limits: apps 1,000,000,000,001 is above the most that can be agreed on, "
            "1,000,000,000,000 (P6).",
        ),
        (
            Contract(0, 9, "monthly", "block", ends_us=2**63 - 1),
            "contract.ends_us: 9223372036854775807 is implausible; it must lie between 2000 and 2500 (U6).",
        ),
    ],
)
def test_a_contract_of_figures_that_would_outgrow_the_account_is_refused(contract: Contract, why: str) -> None:
    """Law 7, P3, C7: each figure fits 64 bits, but two sessions at such a price, or two such fees, do not."""
    story, teller = Story(), Teller()
    story.tell(create())
    (record,) = story.tell(command("up", ApproveUpgrade(contract), T0, "operator"))
    assert (record.kind, record.note) == ("command_refused", why)
    story.tell(*(teller.unit(f"s{at}", T0 + at, kind="session") for at in range(3)))
    assert list(story.machine.take_changes()), "and the account can be written down"


def test_a_contract_of_the_largest_figures_is_held() -> None:
    """P3, C7."""
    story, teller = Story(), Teller()
    contract = Contract(10**15, 0, "monthly", "overage", 10**12, usage_limits={"apps": 10**12})
    story.tell(create(), command("up", ApproveUpgrade(contract), T0, "operator"))
    story.tell(*(teller.unit(f"s{at}", T0 + at, kind="session") for at in range(3)))
    assert story.balance("due:bot") == 500 * USD - 3 * 10**12
    assert list(story.machine.take_changes())
