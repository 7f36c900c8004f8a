"""Who may give which command (W2, W3): one table. `app_owner` means the owner of the app that the command names."""

from __future__ import annotations

from typing import NamedTuple

from schemas.commands import (
    AcceptInvitation,
    AddFunds,
    AdmitLate,
    ApproveUpgrade,
    AssignLicence,
    AssignRole,
    CancelPlan,
    CancelSupport,
    Command,
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
from schemas.errors import excerpt
from streams.accounts.state import AccountState


class Permit(NamedTuple):
    """What a command does, in words, and the roles that may give it, in the order in which they are told."""

    doing: str
    roles: tuple[str, ...]


_STRANGERS = ("operator", "system")
"""Roles that are held outside the workspace."""
_OPERATOR = ("operator",)
_PAYMENTS = ("operator", "system")
_WORKSPACE = ("operator", "workspace_owner")
_OWNERS = ("operator", "workspace_owner", "app_owner")
_EVERYBODY = ("operator", "workspace_owner", "app_owner", "collaborator")

PERMITS: dict[type, Permit] = {
    CreateWorkspace: Permit("create a workspace", ("operator", "workspace_owner", "system")),
    AddFunds: Permit("add funds", ("operator", "workspace_owner", "system")),
    RequestFunds: Permit("ask to buy credit", _OWNERS),
    GrantCredit: Permit("grant credit", _OPERATOR),
    CreateApp: Permit("create an app", _EVERYBODY),
    PublishApp: Permit("publish an app", _OWNERS),
    UnpublishApp: Permit("unpublish an app", _OWNERS),
    StartTrial: Permit("start a trial", _OWNERS),
    Subscribe: Permit("subscribe an app", _OWNERS),
    CancelPlan: Permit("cancel a plan", _OWNERS),
    SubscribeSupport: Permit("subscribe to support", _WORKSPACE),
    CancelSupport: Permit("cancel support", _WORKSPACE),
    RequestUpgrade: Permit("request an upgrade", ("workspace_owner", "app_owner")),
    ApproveUpgrade: Permit("approve an upgrade", _OPERATOR),
    DeclineUpgrade: Permit("decline an upgrade", _OPERATOR),
    EndContract: Permit("end a contract", _OPERATOR),
    InviteUser: Permit("invite a user", _WORKSPACE),
    AcceptInvitation: Permit("accept an invitation", ("collaborator",)),
    SetEmail: Permit("set an e-mail address", _EVERYBODY),
    AssignRole: Permit("assign a role", _WORKSPACE),
    RemoveUser: Permit("remove a user", _WORKSPACE),
    InviteCollaborator: Permit("invite a collaborator", _OWNERS),
    RemoveCollaborator: Permit("remove a collaborator", _OWNERS),
    TransferApp: Permit("transfer an app", _OWNERS),
    AssignLicence: Permit("assign a licence", _OPERATOR),
    RemoveLicence: Permit("remove a licence", _OPERATOR),
    MoveCredit: Permit("move credit", ("operator", "workspace_owner")),
    SetAutoPayment: Permit("set auto payment", ("operator", "workspace_owner")),
    StopAutoPayment: Permit("stop auto payment", ("operator", "workspace_owner")),
    SetAlerts: Permit("set alerts", ("operator", "workspace_owner")),
    SettlePayment: Permit("settle a payment", _PAYMENTS),
    FailPayment: Permit("report a failed payment", _PAYMENTS),
    AdmitLate: Permit("admit a late event", _OPERATOR),
}


def refusal_of_actor(state: AccountState, command: Command) -> str:
    """Why this actor may not give this command; "" if it may."""
    permit, actor = PERMITS[type(command.body)], command.actor
    if actor.role == "user":
        return _refusal_of_user(state, command, permit)
    if actor.role not in permit.roles:
        return f"actor.role: {actor.role} may not {permit.doing}; {_listed(permit.roles)} may (W2, W3)."
    if actor.role in _STRANGERS:
        return ""
    known = state.people.get(actor.name)
    if state.people and known is None:
        return f"actor.name: {excerpt(actor.name)} is no user of the workspace (W1, W2)."
    if state.people and actor.role == "workspace_owner" and known != "owner":
        return f"actor.name: {excerpt(actor.name)} is no owner of the workspace (W2)."
    if known == "invited" and not isinstance(command.body, AcceptInvitation):
        return f"actor.name: {excerpt(actor.name)} has not accepted the invitation yet (W2)."
    app = state.apps.get(getattr(command.body, "app", None) or "")
    if actor.role == "app_owner" and app is not None and app.owner not in ("", actor.name):
        return f"actor.name: {actor.name} may not {permit.doing}: {app.app} belongs to {app.owner} (W2)."
    return ""


def is_stranger(state: AccountState, command: Command) -> bool:
    """Whether the actor is a person whom the account does not know."""
    return command.actor.role == "user" and command.actor.name not in state.people


def _refusal_of_user(state: AccountState, command: Command, permit: Permit) -> str:
    """The same for a person who claims no role and has those that the account knows of.

    Adding funds is recording a payment that was made elsewhere: no person's word is taken for that (C4, C10).
    """
    name, body = command.actor.name, command.body
    if isinstance(body, CreateWorkspace) and state.created_us is None:
        if body.owner == name:
            return ""
        return f"owner: {excerpt(body.owner)} is not {excerpt(name)}; a user creates a workspace of their own (W1)."
    if state.created_us is None:
        return ""  # refused for that
    known = state.people.get(name)
    if known is None:
        return f"actor.name: {excerpt(name)} is no user of the workspace (W1, W2)."
    if known == "invited" and not isinstance(body, AcceptInvitation):
        return f"actor.name: {excerpt(name)} has not accepted the invitation yet (W2)."
    app = state.apps.get(getattr(body, "app", None) or "")
    held = {"collaborator"}
    held |= {"workspace_owner"} if known == "owner" else set()
    held |= {"app_owner"} if app is not None and app.owner == name else set()
    if held.isdisjoint(permit.roles) or isinstance(body, AddFunds):
        roles = tuple(role for role in permit.roles if not isinstance(body, AddFunds) or role in _STRANGERS)
        return f"actor.name: {excerpt(name)} may not {permit.doing}; {_listed(roles)} may (W2, W3)."
    return ""


def _listed(roles: tuple[str, ...]) -> str:
    return " or ".join(role.replace("_", " ") for role in roles)
