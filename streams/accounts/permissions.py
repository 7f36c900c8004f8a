"""Who may give which command (W2, W3): one table. `app_owner` means the owner of the app that the command names."""

from __future__ import annotations

from typing import NamedTuple

from schemas.commands import (
    AddFunds,
    ApproveUpgrade,
    CancelPlan,
    Command,
    CreateApp,
    CreateWorkspace,
    DeclineUpgrade,
    EndContract,
    FailPayment,
    GrantCredit,
    MoveCredit,
    PublishApp,
    RequestUpgrade,
    SetAlerts,
    SetAutoPayment,
    SettlePayment,
    StartTrial,
    StopAutoPayment,
    Subscribe,
    UnpublishApp,
)
from streams.accounts.state import AccountState


class Permit(NamedTuple):
    """What a command does, in words, and the roles that may give it, in the order in which they are told."""

    doing: str
    roles: tuple[str, ...]


_OPERATOR = ("operator",)
_PAYMENTS = ("operator", "system")
_OWNERS = ("operator", "workspace_owner", "app_owner")
_EVERYBODY = ("operator", "workspace_owner", "app_owner", "collaborator")

PERMITS: dict[type, Permit] = {
    CreateWorkspace: Permit("create a workspace", ("operator", "workspace_owner", "system")),
    AddFunds: Permit("add funds", ("operator", "workspace_owner", "system")),
    GrantCredit: Permit("grant credit", _OPERATOR),
    CreateApp: Permit("create an app", _EVERYBODY),
    PublishApp: Permit("publish an app", _OWNERS),
    UnpublishApp: Permit("unpublish an app", _OWNERS),
    StartTrial: Permit("start a trial", _OWNERS),
    Subscribe: Permit("subscribe an app", _OWNERS),
    CancelPlan: Permit("cancel a plan", _OWNERS),
    RequestUpgrade: Permit("request an upgrade", ("workspace_owner", "app_owner")),
    ApproveUpgrade: Permit("approve an upgrade", _OPERATOR),
    DeclineUpgrade: Permit("decline an upgrade", _OPERATOR),
    EndContract: Permit("end a contract", _OPERATOR),
    MoveCredit: Permit("move credit", ("operator", "workspace_owner")),
    SetAutoPayment: Permit("set auto payment", ("operator", "workspace_owner")),
    StopAutoPayment: Permit("stop auto payment", ("operator", "workspace_owner")),
    SetAlerts: Permit("set alerts", ("operator", "workspace_owner")),
    SettlePayment: Permit("settle a payment", _PAYMENTS),
    FailPayment: Permit("report a failed payment", _PAYMENTS),
}


def refusal_of_actor(state: AccountState, command: Command) -> str:
    """Why this actor may not give this command; "" if it may."""
    permit, actor = PERMITS[type(command.body)], command.actor
    if actor.role not in permit.roles:
        return f"actor.role: {actor.role} may not {permit.doing}; {_listed(permit.roles)} may (W2, W3)."
    app = state.apps.get(getattr(command.body, "app", None) or "")
    if actor.role == "app_owner" and app is not None and app.owner not in ("", actor.name):
        return f"actor.name: {actor.name} may not {permit.doing}: {app.app} belongs to {app.owner} (W2)."
    return ""


def _listed(roles: tuple[str, ...]) -> str:
    return " or ".join(role.replace("_", " ") for role in roles)
