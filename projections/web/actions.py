"""What people can do on the page, as data: one form per command of the account API, with who is offered it (W2, W3).

Who may do what is decided by ACCOUNTS; a form that would be refused to a role is not shown to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from projections.membership import Standing
from schemas.commands import CommandBody

Who = Literal["operator", "owner", "app_owner", "member", "invited"]
FieldKind = Literal["text", "email", "usd", "usd_list", "number", "number_list", "choice", "hidden"]
KNOWN_KINDS = frozenset(
    str(getattr(body, "__struct_config__").tag)  # noqa: B009 - a msgspec Struct, which `type` does not know
    for body in get_args(CommandBody)
)


@dataclass(frozen=True, slots=True)
class Field:
    """One input. `choices` are values with words, or the name of a list that the page knows (`apps`, `people`, ...).

    An empty optional field is left out of the command; `a.b` is field `b` of the object `a`; `usd` becomes micros.
    """

    name: str
    label: str
    kind: FieldKind = "text"
    choices: tuple[tuple[str, str], ...] | str = ()
    is_required: bool = True
    value: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """A form. `page` is where it stands; `button` what its button says; `is_grave`: it stands apart, hard to hit."""

    kind: str
    page: str
    title: str
    button: str
    who: frozenset[Who]
    fields: tuple[Field, ...] = ()
    words: str = ""
    is_grave: bool = False


_OPERATOR: frozenset[Who] = frozenset({"operator"})
_OWNER: frozenset[Who] = frozenset({"operator", "owner"})
_APP_OWNERS: frozenset[Who] = frozenset({"operator", "owner", "app_owner"})
_PEOPLE: frozenset[Who] = frozenset({"operator", "owner", "app_owner", "member"})
_APP = Field("app", "App", "hidden")
_AMOUNT = Field("amount_micros", "Amount, US dollars", "usd", value="100.00")
_FOR_APP = Field("app", "For", "choice", "apps_or_all", is_required=False)
_METHODS = (("card", "card"), ("ach", "bank debit (ACH)"), ("wire", "wire transfer"))
_METHOD = Field("method", "Paid by", "choice", _METHODS)
_TERMS = (("monthly", "monthly"), ("yearly", "yearly"))
_NEW_APP = (Field("app", "Name"),)
_PRODUCT = Field("product", "Product", "hidden")

ACTIONS: tuple[Action, ...] = (
    Action("create_workspace", "workspaces", "New workspace", "Create", _PEOPLE, (
        Field("workspace", "Name"), Field("owner", "Owner"), Field("email", "E-mail of the owner", "email", (), False),
    )),
    Action("add_funds", "credit", "Add funds", "Add funds", _OPERATOR, (
        _AMOUNT, Field("payment_id", "Reference of the settled payment"), _FOR_APP,
    ), "Records a payment that has been made, such as a wire transfer."),
    Action("request_funds", "credit", "Add funds", "Ask for the payment", frozenset({"owner"}), (
        _AMOUNT, _METHOD, _FOR_APP,
    ), "A payment is asked for; the credit is there when it is settled."),
    Action("move_credit", "credit", "Move paid credit", "Move", _OWNER, (
        _AMOUNT, Field("from_app", "From", "choice", "apps_or_all", False),
        Field("to_app", "To", "choice", "apps_or_all", False),
    )),
    Action("set_auto_payment", "credit", "Auto payment", "Set", _OWNER, (
        Field("below_micros", "When shared paid credit is below", "usd"),
        Field("amount_micros", "Ask for", "usd"), Field("method", "Paid by", "choice", _METHODS[:2]),
        Field("retries", "Retries after a failure", "number", value="1"),
        Field("maximum_per_day", "At most a day", "number", value="1"),
    )),
    Action("stop_auto_payment", "credit", "Stop auto payment", "Stop", _OWNER),
    Action("set_alerts", "credit", "Low balance alerts", "Set", _OWNER, (
        Field("amounts_micros", "Below these amounts", "usd_list", (), False, hint="such as 100, 50"),
        Field("percents", "Below these percentages of the credit added last", "number_list", (), False, hint="20, 10"),
    )),
    Action("grant_credit", "credit", "Grant free credit", "Grant", _OPERATOR, (_AMOUNT, Field("reason", "Reason"))),
    Action("settle_payment", "credit", "Settle a payment", "It was paid", _OPERATOR, (
        Field("payment_id", "Payment", "choice", "open_payments"),
    )),
    Action("fail_payment", "credit", "A payment failed", "It failed", _OPERATOR, (
        Field("payment_id", "Payment", "choice", "open_payments"), Field("reason", "Reason"),
    )),
    Action("request_upgrade", "plan", "Upgrade to Enterprise", "Request upgrade", frozenset({"owner"}), (),
           "An operator answers the request."),
    Action("approve_upgrade", "plan", "Approve Enterprise", "Approve", _OPERATOR, (
        Field("contract.price_micros", "Fee of a term, US dollars", "usd"),
        Field("contract.allowed_requests", "Included sessions of a term", "number"),
        Field("contract.term", "Term", "choice", _TERMS),
        Field("contract.past", "Past them", "choice", (("block", "apps stop"), ("overage", "each session costs"))),
        Field("contract.overage_micros", "Overage per session, US dollars", "usd", (), False),
    )),
    Action("decline_upgrade", "plan", "Decline the request", "Decline", _OPERATOR, (Field("reason", "Reason"),)),
    Action("end_contract", "plan", "End the contract", "End", _OPERATOR, (Field("reason", "Reason"),), "", True),
    Action("subscribe_support", "plan", "Standard support", "Subscribe to support", _OWNER, (),
           "Month by month; the first fee is asked for at once."),
    Action("cancel_support", "plan", "Cancel support", "Cancel with the month's end", _OWNER),
    Action("assign_licence", "plan", "License", "License", _OPERATOR, (_PRODUCT,)),
    Action("remove_licence", "plan", "End licence", "End licence", _OPERATOR, (_PRODUCT,)),
    Action("accept_invitation", "people", "You are invited", "Join the workspace", frozenset({"invited"})),
    Action("invite_user", "people", "Invite somebody", "Invite", _OWNER, (
        Field("user", "Name, best an e-mail address"), Field("email", "E-mail, if another", "email", (), False),
    )),
    Action("assign_role", "people", "Assign a role", "Assign", _OWNER, (
        Field("user", "Person", "text", "people"), Field("role", "Role", "choice", (("member", "member"),
                                                                                  ("owner", "workspace owner"))),
    )),
    Action("set_email", "people", "Where alerts are sent", "Set", _OWNER, (
        Field("user", "Person", "choice", "people"), Field("email", "E-mail; empty for nowhere", "email"),
    )),
    Action("remove_user", "people", "Remove somebody", "Remove", _OWNER, (
        Field("user", "Person", "choice", "people"),
    ), "Takes the person out of the workspace and its apps.", True),
    Action("create_app", "apps", "New app", "Create", _OWNER, _NEW_APP, "It begins as a draft."),
    Action("create_app", "overview", "New app", "Create", frozenset({"member"}), _NEW_APP,
           "It begins as a draft, and you own it."),
    Action("publish_app", "app", "Publish", "Publish", _APP_OWNERS, (_APP,), "It answers on channels, and is billed."),
    Action("unpublish_app", "app", "Unpublish", "Unpublish", _APP_OWNERS, (_APP,), "It is taken off its channels."),
    Action("request_funds", "app", "Add funds to this app", "Ask for the payment", frozenset({"owner", "app_owner"}), (
        _APP, _AMOUNT, _METHOD,
    ), "A payment is asked for; the credit is there when it is settled, for this app only."),
    Action("add_funds", "app", "Add funds to this app", "Add funds", _OPERATOR, (
        _APP, _AMOUNT, Field("payment_id", "Reference of the settled payment"),
    )),
    Action("start_trial", "app", "Free trial", "Start", _APP_OWNERS, (_APP,)),
    Action("subscribe", "app", "Subscription", "Subscribe", _APP_OWNERS, (
        _APP, Field("plan", "Plan", "choice", "plans"), Field("period", "Paid", "choice", _TERMS),
    )),
    Action("cancel", "app", "End plan", "Cancel with the term's end", _APP_OWNERS, (_APP,)),
    Action("request_upgrade", "app", "Upgrade to Enterprise", "Request upgrade", frozenset({"owner", "app_owner"}),
           (_APP,), "An operator answers the request."),
    Action("invite_collaborator", "app", "Add a collaborator", "Add", _APP_OWNERS, (
        _APP, Field("user", "Person", "text", "people"), Field("role", "Role", value="tester"),
    )),
    Action("remove_collaborator", "app", "Remove a collaborator", "Remove", _APP_OWNERS, (
        _APP, Field("user", "Person", "choice", "collaborators"),
    )),
    Action("transfer_app", "app", "Give the app to somebody else", "Transfer", _APP_OWNERS, (
        _APP, Field("user", "New owner", "text", "people"),
    ), "", True),
)  # fmt: skip
"""In the order of their pages."""


def roles_of(standing: Standing, app: str = "") -> frozenset[Who]:
    """All that a person is, for the forms of a page about `app` or about no app."""
    match standing.role:
        case "operator" | "owner" | "invited" as role:
            return frozenset({role})
        case "member":
            return frozenset({"member", "app_owner"}) if app in standing.owns else frozenset({"member"})
        case _:
            return frozenset()


def offered(page: str, standing: Standing, app: str = "") -> tuple[Action, ...]:
    """The forms of a page that this person may use, as far as the contract has their commands."""
    roles = roles_of(standing, app)
    return tuple(a for a in ACTIONS if a.page == page and a.kind in KNOWN_KINDS and a.who & roles)


def action_of(page: str, kind: str) -> Action | None:
    """The form of a page that gives this kind of command."""
    return next((action for action in ACTIONS if action.page == page and action.kind == kind), None)
