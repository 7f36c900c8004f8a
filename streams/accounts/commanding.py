"""Commands (W3): create a workspace, add funds (C4, C6), grant credit (C1).

In four parts: seen before? -> rejections in order of precedence -> from here it must succeed -> construction. A
refused command leaves a record that says why, and changes no balance.
"""

from __future__ import annotations

import hashlib

import msgspec

from schemas.commands import AddFunds, Command, CreateWorkspace, GrantCredit
from schemas.errors import excerpt
from schemas.ledger import EntryKind, GrantOpened
from streams.accounts.creating import create
from streams.accounts.decision import Decision, Moment
from streams.accounts.draft import Draft
from streams.accounts.money import instant, usd
from streams.accounts.outcome import posted, unchanged
from streams.accounts.policy import Policy
from streams.accounts.postings import issue, settle
from streams.accounts.state import AccountState

_ROLES: dict[type, tuple[str, tuple[str, ...]]] = {
    CreateWorkspace: ("create a workspace", ("operator", "workspace_owner", "system")),
    AddFunds: ("add funds", ("operator", "workspace_owner", "system")),
    GrantCredit: ("grant credit", ("operator",)),
}
_MAX_ID_CHARACTERS = 64
_encode = msgspec.json.Encoder().encode


def decide_command(state: AccountState, command: Command, moment: Moment, policy: Policy) -> Decision:
    """What a command leads to."""
    digest = hashlib.sha256(_encode(command)).hexdigest()[:32]
    known = state.commands.get(command.command_id, ())
    if digest in known:
        return unchanged(state)
    why = _conflict(command, known) or _refusal(state, command, policy)
    draft = Draft(state, moment.clock)
    actor = f"{command.actor.role}:{command.actor.name}"[:256]
    seen = (command.command_id, digest)
    if why:
        record = draft.record("command_refused", command.time_us, moment.origin(), command.command_id, actor, why)
        return Decision(state.raised, record, seen=seen)
    body = command.body
    payment: tuple[str, str] | None = None
    match body:
        case CreateWorkspace():
            create(draft, command.time_us, policy)
        case AddFunds():
            payment = (body.payment_id, _content(body))
            grant_id = f"{state.workspace}/payment/{_short(body.payment_id)}"
            issue(draft, GrantOpened(grant_id, "paid", body.amount_micros, command.time_us, app=body.app))
        case GrantCredit():
            grant_id = f"{state.workspace}/grant/{_short(command.command_id)}"
            expires_us = policy.free_credit.expires_us(command.time_us)
            issue(draft, GrantOpened(grant_id, "free", body.amount_micros, command.time_us, expires_us))
    settle(draft)
    kind: EntryKind = "workspace_created" if isinstance(body, CreateWorkspace) else "credit_added"
    note = body.reason if isinstance(body, GrantCredit) else ""
    decision = posted(draft, moment, policy, kind, command.time_us, command.command_id, actor, note)
    return decision._replace(seen=seen, payment=payment)


def _conflict(command: Command, known: tuple[str, ...]) -> str:
    if not known:
        return ""
    return f"command_id: {excerpt(command.command_id)} was given before with other content; the first stands (law 3)."


def _refusal(state: AccountState, command: Command, policy: Policy) -> str:
    """The first reason not to obey, as a sentence of field, value and rule; "" if there is none."""
    doing, roles = _ROLES[type(command.body)]
    if command.actor.role not in roles:
        return f"actor.role: {command.actor.role} may not {doing}; {_listed(roles)} may (W2, W3)."
    if isinstance(command.body, CreateWorkspace):
        if state.created_us is None:
            return ""
        return f"workspace: {state.workspace} exists already, created at {instant(state.created_us)} (W1)."
    if state.created_us is None:
        return f"workspace: {state.workspace} does not exist; it must be created first (W1)."
    if isinstance(command.body, AddFunds):
        return _refusal_of_funds(state, command.body, policy)
    return ""


def _refusal_of_funds(state: AccountState, body: AddFunds, policy: Policy) -> str:
    settled = state.payments.get(body.payment_id)
    payment = f"payment_id: {excerpt(body.payment_id)} is settled already"
    if settled == _content(body):
        return f"{payment}; the credit it brought stands, and none is added (C10)."
    if settled is not None:
        return f"{payment} with another amount or app; the first stands (C10)."
    amount, top_up = body.amount_micros, policy.top_up
    if amount < top_up.minimum_micros:
        return f"amount_micros: {usd(amount)} is below the least top-up, {usd(top_up.minimum_micros)} (C4)."
    if amount > top_up.maximum_micros:
        return f"amount_micros: {usd(amount)} is above the largest top-up, {usd(top_up.maximum_micros)} (C4)."
    return ""


def _content(body: AddFunds) -> str:
    return f"{body.amount_micros}/{body.app or ''}"


def _short(text: str) -> str:
    """An id as part of another: itself, or its digest where it is long."""
    if len(text) <= _MAX_ID_CHARACTERS:
        return text
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()[:32]


def _listed(roles: tuple[str, ...]) -> str:
    return " or ".join(role.replace("_", " ") for role in roles)
