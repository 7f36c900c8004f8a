"""Commands (W3): seen before? -> rejections in order of precedence -> from here it must succeed -> construction.

What each kind refuses and does stands in the tables of `funding` and the `..._orders`.
A refused command leaves a record that says why, and changes nothing.
"""

from __future__ import annotations

import msgspec

from schemas.commands import OTHER_CONTENT, AddFunds, AdmitLate, Command, CreateWorkspace, GrantCredit
from schemas.errors import excerpt
from schemas.replies import digest_of
from streams.accounts import (
    app_orders,
    contract_orders,
    funding,
    late_orders,
    payment_orders,
    people_orders,
    setting_orders,
    support_orders,
)
from streams.accounts.decision import Decision, Moment
from streams.accounts.draft import Draft
from streams.accounts.orders import Order, Rule
from streams.accounts.outcome import posted, unchanged
from streams.accounts.permissions import is_stranger, refusal_of_actor
from streams.accounts.policy import Policy
from streams.accounts.postings import settle
from streams.accounts.state import AccountState, Seen

RULES: dict[type, Rule] = {
    **funding.RULES,
    **app_orders.RULES,
    **contract_orders.RULES,
    **support_orders.RULES,
    **payment_orders.RULES,
    **setting_orders.RULES,
    **people_orders.RULES,
    **late_orders.RULES,
}


def decide_command(state: AccountState, command: Command, moment: Moment, policy: Policy) -> Decision:
    """What a command leads to."""
    digest = digest_of(command)
    if any(seen.digest == digest for seen in state.seen(command.command_id)):
        return unchanged(state)
    body, order = command.body, Order(state, command, policy, moment.clock)
    why = _conflict(command, state.commands.get(command.command_id, ())) or _refusal(order)
    draft = Draft(state, moment.clock)
    actor = f"{command.actor.role}:{command.actor.name}"[:256]
    seen = (command.command_id, digest)
    if why:
        note = why[:1024]
        record = draft.record("command_refused", command.time_us, moment.origin(), command.command_id, actor, note)
        # An id is taken by those of the house only: others could take it from them.
        return Decision(state.raised, record, seen=seen, stranger=is_stranger(state, command))
    rule = RULES[type(body)]
    rule.obey(order, body, draft)
    settle(draft, without=draft.replaced)
    note = body.reason if isinstance(body, GrantCredit | AdmitLate) else ""
    decision = posted(draft, moment, policy, rule.kind, command.time_us, command.command_id, actor, note)
    payment = (body.payment_id, funding.content(body)) if isinstance(body, AddFunds) else None
    admitted = late_orders.names_of(body.events) if isinstance(body, AdmitLate) else ()
    recalled = tuple(draft.recalled.values())
    return decision._replace(seen=seen, payment=payment, admitted=admitted, recalled=recalled)


def _conflict(command: Command, known: tuple[Seen, ...]) -> str:
    if not known:
        return ""
    return f"command_id: {excerpt(command.command_id)} {OTHER_CONTENT}; the first stands (law 3)."


def _refusal(order: Order) -> str:
    """The first reason not to obey, as a sentence of field, value and rule; "" if there is none."""
    state, body = order.state, order.command.body
    why = refusal_of_actor(state, order.command)
    if why:
        return why
    if state.created_us is None and not isinstance(body, CreateWorkspace):
        return f"workspace: {state.workspace} does not exist; it must be created first (W1)."
    return _unheld(order) or RULES[type(body)].refuse(order, body)


def _unheld(order: Order) -> str:
    """Whether it tells a number that could not be written down with the account: the partition would stop there."""
    try:
        msgspec.msgpack.encode(order.command.body)
    except OverflowError:
        return "body: a number is beyond 64 bits (C7)."
    return ""
