"""Commands about credit: create a workspace (P2, C1), add funds (C4, C6), grant credit (C1, W3), move credit (C4)."""

from __future__ import annotations

from schemas.changes import PersonChanged
from schemas.commands import AddFunds, CreateWorkspace, GrantCredit, MoveCredit
from schemas.errors import excerpt
from schemas.ledger import GrantOpened
from streams.accounts.addressing import no_address
from streams.accounts.creating import create
from streams.accounts.draft import Draft
from streams.accounts.grants import Grant
from streams.accounts.money import instant, usd
from streams.accounts.orders import Order, Rule, short
from streams.accounts.policy import Policy
from streams.accounts.postings import issue


def _refuse_workspace(order: Order, body: CreateWorkspace) -> str:
    state = order.state
    if state.created_us is None:
        return no_address(body.email)
    return f"workspace: {state.workspace} exists already, created at {instant(state.created_us)} (W1)."


def _create_workspace(order: Order, body: CreateWorkspace, draft: Draft) -> None:
    draft.changes.append(PersonChanged(body.owner, "owner", body.email))
    create(draft, order.command.time_us, order.policy)


def _refuse_funds(order: Order, body: AddFunds) -> str:
    state = order.state
    settled = state.payments.get(body.payment_id)
    payment = f"payment_id: {excerpt(body.payment_id)} is settled already"
    if settled == content(body):
        return f"{payment}; the credit it brought stands, and none is added (C10)."
    if settled is not None:
        return f"{payment} with another amount or app; the first stands (C10)."
    if body.payment_id in state.asked:
        return f"payment_id: {excerpt(body.payment_id)} was asked for; it is settled as such (C10)."
    if body.payment_id.startswith(tuple(f"{state.workspace}/{kind}/" for kind in ("auto", "funds"))):
        return f"payment_id: {excerpt(body.payment_id)} is named like what is asked for, and was not asked for (C10)."
    return outside_bounds(body.amount_micros, order.policy)


def outside_bounds(amount_micros: int, policy: Policy) -> str:
    """C4: why an amount cannot be topped up; "" if it can."""
    top_up = policy.top_up
    if amount_micros < top_up.minimum_micros:
        return f"amount_micros: {usd(amount_micros)} is below the least top-up, {usd(top_up.minimum_micros)} (C4)."
    if amount_micros > top_up.maximum_micros:
        return f"amount_micros: {usd(amount_micros)} is above the largest top-up, {usd(top_up.maximum_micros)} (C4)."
    return ""


def content(body: AddFunds) -> str:
    """What a payment brought, to be compared with another of its id."""
    return f"{body.amount_micros}/{body.app or ''}"


def _add_funds(order: Order, body: AddFunds, draft: Draft) -> None:
    grant_id = f"{order.state.workspace}/payment/{short(body.payment_id)}"
    issue(draft, GrantOpened(grant_id, "paid", body.amount_micros, order.command.time_us, app=body.app))


def _grant_credit(order: Order, body: GrantCredit, draft: Draft) -> None:
    command = order.command
    grant_id = f"{order.state.workspace}/grant/{short(command.command_id)}"
    expires_us = order.policy.free_credit.expires_us(command.time_us)
    issue(draft, GrantOpened(grant_id, "free", body.amount_micros, command.time_us, expires_us))


def _movable(order: Order, app: str | None) -> list[Grant]:
    return order.state.purse.paid.get(app, [])


def _refuse_move(order: Order, body: MoveCredit) -> str:
    if body.from_app == body.to_app:
        return "to_app: credit stays where it is (C4)."
    there = sum(grant.remaining_micros for grant in _movable(order, body.from_app))
    if body.amount_micros > there:
        whose = f"of {body.from_app}" if body.from_app else "that all apps share"
        return f"amount_micros: {usd(body.amount_micros)} is more than the paid credit {whose}, {usd(there)} (C4)."
    return ""


def _move(order: Order, body: MoveCredit, draft: Draft) -> None:
    """Out of the oldest grants first, into a new one."""
    left, command = body.amount_micros, order.command
    for grant in _movable(order, body.from_app):
        part = min(left, grant.remaining_micros)
        left -= part
        draft.on_grant(grant, -part)
        if left == 0:
            break
    grant_id = f"{order.state.workspace}/move/{short(command.command_id)}"
    opened = GrantOpened(grant_id, "paid", body.amount_micros, command.time_us, app=body.to_app, moved=True)
    draft.on_grant(draft.open_grant(opened), body.amount_micros)


RULES: dict[type, Rule] = {
    CreateWorkspace: Rule("workspace_created", _refuse_workspace, _create_workspace),
    AddFunds: Rule("credit_added", _refuse_funds, _add_funds),
    MoveCredit: Rule("credit_moved", _refuse_move, _move),
    GrantCredit: Rule("credit_added", lambda order, body: "", _grant_credit),
}
