"""Commands about people and products: invitations, roles, ownership, addresses (W1, W2, A3), licences (P10, W3).

A person is `invited`, a `member` or an `owner` of the workspace. A workspace that began with a unit knows nobody until
an operator names its owner; until then claims of a role are taken as they are.
"""

from __future__ import annotations

from schemas.changes import (
    AppTransferred,
    CollaboratorAdded,
    CollaboratorRemoved,
    EmailSet,
    LicenceAssigned,
    LicenceRemoved,
    PersonChanged,
    PersonRemoved,
)
from schemas.commands import (
    AcceptInvitation,
    AssignLicence,
    AssignRole,
    InviteCollaborator,
    InviteUser,
    RemoveCollaborator,
    RemoveLicence,
    RemoveUser,
    SetEmail,
    TransferApp,
)
from schemas.errors import excerpt
from streams.accounts.addressing import no_address
from streams.accounts.draft import Draft
from streams.accounts.orders import Order, Rule
from streams.accounts.pricing import limits_at, standing_at


def _refuse_invitation(order: Order, body: InviteUser) -> str:
    known = order.state.people.get(body.user)
    if known:
        return f"user: {excerpt(body.user)} is {_a(known)} of the workspace already (W2)."
    return no_address(body.email)


def _invite(order: Order, body: InviteUser, draft: Draft) -> None:
    draft.changes.append(PersonChanged(body.user, "invited", body.email))


def _refuse_acceptance(order: Order, _: AcceptInvitation) -> str:
    name = order.command.actor.name
    if order.state.people.get(name) == "invited":
        return ""
    return f"actor.name: {excerpt(name)} has no open invitation (W2)."


def _accept(order: Order, _: AcceptInvitation, draft: Draft) -> None:
    draft.changes.append(PersonChanged(order.command.actor.name, "member"))


def _refuse_email(order: Order, body: SetEmail) -> str:
    state, actor = order.state, order.command.actor
    if body.user not in state.people:
        return f"user: {excerpt(body.user)} is no user of the workspace (W2)."
    is_owner = actor.role in ("operator", "workspace_owner") or (
        actor.role == "user" and state.people.get(actor.name) == "owner"
    )
    if not is_owner and actor.name != body.user:
        return f"user: {excerpt(actor.name)} may set the own address only, not that of {excerpt(body.user)} (W2, A3)."
    if state.emails.get(body.user, "") == body.email:
        return f"email: {excerpt(body.email)} is the address of {excerpt(body.user)} already (A3)."
    return no_address(body.email)


def _set_email(order: Order, body: SetEmail, draft: Draft) -> None:
    draft.changes.append(EmailSet(body.user, body.email))


def _refuse_role(order: Order, body: AssignRole) -> str:
    people = order.state.people
    if body.user not in people and not (order.command.actor.role == "operator" and not people):
        return f"user: {excerpt(body.user)} is no user of the workspace; invite first (W2)."
    if people.get(body.user) == "invited":
        return f"user: {excerpt(body.user)} has not accepted the invitation yet (W2)."
    if people.get(body.user) == body.role:
        return f"role: {excerpt(body.user)} is {_a(body.role)} already (W2)."
    return _last_owner(order, body.user) or no_address(body.email)


def _assign_role(order: Order, body: AssignRole, draft: Draft) -> None:
    draft.changes.append(PersonChanged(body.user, body.role, body.email))


def _refuse_removal(order: Order, body: RemoveUser) -> str:
    if body.user not in order.state.people:
        return _no_member(order, body.user)
    owned = sorted(app.app for app in order.state.apps.values() if app.owner == body.user)
    if owned:
        return f"user: {excerpt(body.user)} owns {owned[0]}; transfer it first (W2)."
    return _last_owner(order, body.user)


def _remove(order: Order, body: RemoveUser, draft: Draft) -> None:
    draft.changes.append(PersonRemoved(body.user))


def _last_owner(order: Order, user: str) -> str:
    owners = [name for name, role in order.state.people.items() if role == "owner"]
    return f"user: {excerpt(user)} is the only owner; name another first (W2)." if owners == [user] else ""


def _refuse_collaborator(order: Order, body: InviteCollaborator) -> str:
    why = order.no_such_app(body.app) or _no_member(order, body.user)
    if why:
        return why
    app = order.app(body.app)
    if body.user == app.owner:
        return f"user: {excerpt(body.user)} owns {body.app} (W2)."
    if app.collaborators.get(body.user) == body.role:
        return f"user: {excerpt(body.user)} is {excerpt(body.role)} of {body.app} already (W2)."
    standing = standing_at(order.state, app, order.effective_us, order.policy)
    limit = limits_at(order.state, standing, order.effective_us)[1].get("collaborators_per_app")
    if limit is not None and body.user not in app.collaborators and len(app.collaborators) >= limit:
        return f"app: {body.app} has {len(app.collaborators)} collaborators, and {limit} are allowed (P6)."
    return ""


def _add_collaborator(order: Order, body: InviteCollaborator, draft: Draft) -> None:
    draft.changes.append(CollaboratorAdded(body.app, body.user, body.role))


def _refuse_removing_collaborator(order: Order, body: RemoveCollaborator) -> str:
    why = order.no_such_app(body.app)
    if not why and body.user not in order.app(body.app).collaborators:
        return f"user: {excerpt(body.user)} is no collaborator of {body.app} (W2)."
    return why


def _remove_collaborator(order: Order, body: RemoveCollaborator, draft: Draft) -> None:
    draft.changes.append(CollaboratorRemoved(body.app, body.user))


def _refuse_transfer(order: Order, body: TransferApp) -> str:
    why = order.no_such_app(body.app) or _no_member(order, body.user)
    if not why and order.app(body.app).owner == body.user:
        return f"user: {excerpt(body.user)} owns {body.app} already (W2)."
    return why


def _transfer(order: Order, body: TransferApp, draft: Draft) -> None:
    draft.changes.append(AppTransferred(body.app, body.user))


def _refuse_licence(order: Order, body: AssignLicence | RemoveLicence) -> str:
    known = [product.id for product in order.policy.catalog.products]
    if body.product not in known:
        return f"product: {excerpt(body.product)} is no product; there are {', '.join(known)} (P10)."
    licensed = body.product in order.state.licences
    if licensed == isinstance(body, AssignLicence):
        return f"product: {body.product} is {'licensed already' if licensed else 'not licensed'} (P10)."
    return ""


def _assign_licence(order: Order, body: AssignLicence, draft: Draft) -> None:
    draft.changes.append(LicenceAssigned(body.product))


def _remove_licence(order: Order, body: RemoveLicence, draft: Draft) -> None:
    draft.changes.append(LicenceRemoved(body.product))


def _no_member(order: Order, user: str) -> str:
    if order.state.people.get(user) in ("member", "owner"):
        return ""
    return f"user: {excerpt(user)} is no user of the workspace (W2)."


def _a(role: str | None) -> str:
    return {"owner": "an owner", "member": "a member"}.get(role or "", "invited")


RULES: dict[type, Rule] = {
    InviteUser: Rule("people_changed", _refuse_invitation, _invite),
    AcceptInvitation: Rule("people_changed", _refuse_acceptance, _accept),
    SetEmail: Rule("people_changed", _refuse_email, _set_email),
    AssignRole: Rule("people_changed", _refuse_role, _assign_role),
    RemoveUser: Rule("people_changed", _refuse_removal, _remove),
    InviteCollaborator: Rule("people_changed", _refuse_collaborator, _add_collaborator),
    RemoveCollaborator: Rule("people_changed", _refuse_removing_collaborator, _remove_collaborator),
    TransferApp: Rule("people_changed", _refuse_transfer, _transfer),
    AssignLicence: Rule("licence_changed", _refuse_licence, _assign_licence),
    RemoveLicence: Rule("licence_changed", _refuse_licence, _remove_licence),
}
