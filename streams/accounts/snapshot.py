"""How an account is written to the changelog: compact, and the same bytes for the same state.

Two kinds of record: `w/<workspace>` holds an account; `o/<workspace>/<bucket>` the open charges whose units start in
one bucket. A busy workspace then rewrites the buckets it touched and not its whole day. What is derived is not written.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from schemas.changes import AlertsSet
from schemas.ledger import Covered
from schemas.replies import NOT_KNOWN
from streams.accounts.apps import AppState, AutoPayment, ContractSpan, Payment, Subscription, Told
from streams.accounts.changing import keep_app
from streams.accounts.grants import Grant
from streams.accounts.state import DUE, AccountState, Activity, OpenCharge, Seen

ACCOUNT = b"w/"
OPEN = b"o/"


class _Account(Struct, array_like=True):
    workspace: str
    created_us: int | None
    sequence: int
    last_hash: str
    grants: list[tuple[str, str, int, int, int, str | None, int, bool, int | None]]
    totals: list[tuple[str, int]]
    old_due: list[tuple[int, str, int]]
    commands: list[tuple[str, tuple[Seen | str, ...]]]
    payments: list[tuple[str, str]]
    raised: tuple[str, ...]
    apps: list[AppState]
    contracts: list[ContractSpan]
    subscriptions: list[Subscription]
    asked: list[Payment]
    upgrade_requested: str
    used: list[tuple[str, int]]
    newest_us: int
    as_of_us: int
    daily: list[tuple[int, tuple[int, int]]]
    last_added_micros: int
    thresholds: AlertsSet | None
    auto: AutoPayment | None
    people: list[tuple[str, str]]
    licences: list[str]
    told: list[tuple[str, str]]
    told_raised: tuple[str, ...]
    entitled: list[tuple[str, Told]]
    band: tuple[int, int]
    emails: list[tuple[str, str]] = []
    activity: list[tuple[str, Activity]] = []


class _Bucket(Struct, array_like=True):
    workspace: str
    charges: list[tuple[str, str, int, int, str, tuple[tuple[str, int], ...], Covered, str, str, str]]


_encode = msgspec.msgpack.Encoder().encode
_decode_account = msgspec.msgpack.Decoder(_Account).decode
_decode_bucket = msgspec.msgpack.Decoder(_Bucket).decode


def account_key(workspace: str) -> bytes:
    """The key of an account's state record."""
    return ACCOUNT + workspace.encode()


def bucket_key(workspace: str, bucket: int) -> bytes:
    """The key of the state record of a bucket of open charges."""
    return b"%s%s/%d" % (OPEN, workspace.encode(), bucket)


def encode_account(state: AccountState) -> bytes:
    """An account without its open charges."""
    grants = [
        (g.account, g.credit, g.amount_micros, g.granted_us, g.expires_us, g.app, g.remaining_micros, g.expired,
         g.warned_days)
        for g in sorted(state.grants.values(), key=lambda g: g.account)
    ]  # fmt: skip
    return _encode(
        _Account(
            workspace=state.workspace,
            created_us=state.created_us,
            sequence=state.sequence,
            last_hash=state.last_hash,
            grants=grants,
            totals=sorted(state.totals.items()),
            old_due=sorted((day, app, amount) for (day, app), amount in state.old_due.items()),
            commands=sorted(state.commands.items()),
            payments=sorted(state.payments.items()),
            raised=state.raised,
            apps=[_ordered(app) for _, app in sorted(state.apps.items())],
            contracts=state.contracts,
            subscriptions=[held for _, held in sorted(state.subscriptions.items())],
            asked=[payment for _, payment in sorted(state.asked.items())],
            upgrade_requested=state.upgrade_requested,
            used=sorted(state.used.items()),
            newest_us=state.newest_us,
            as_of_us=state.as_of_us,
            daily=sorted(state.daily.items()),
            last_added_micros=state.last_added_micros,
            thresholds=state.thresholds,
            auto=state.auto,
            people=sorted(state.people.items()),
            licences=sorted(state.licences),
            told=sorted(state.told.items()),
            told_raised=state.told_raised,
            entitled=sorted(state.entitled.items(), key=lambda entry: entry[0]),
            band=state.band,
            emails=sorted(state.emails.items()),
            activity=sorted(state.activity.items(), key=lambda entry: entry[0]),
        )
    )


def encode_bucket(state: AccountState, bucket: int) -> bytes | None:
    """The open charges of one bucket; None when there are none."""
    units = state.buckets.get(bucket)
    if not units:
        return None
    charges = (state.open[unit_id] for unit_id in sorted(units))
    rows = [
        (c.unit_id, c.app, c.start_us, c.price_micros, c.plan, c.parts, c.covered, c.pool, c.kind, c.channel)
        for c in charges
    ]
    return _encode(_Bucket(state.workspace, rows))


def decode_account(value: bytes) -> AccountState:
    """An account; its open charges follow with `reopen`."""
    held = _decode_account(value)
    state = AccountState(held.workspace, held.created_us, held.sequence, held.last_hash)
    state.totals = dict(held.totals)
    state.old_due = {(day, app): amount for day, app, amount in held.old_due}
    state.commands = {command_id: tuple(map(_seen, contents)) for command_id, contents in held.commands}
    state.payments = dict(held.payments)
    state.raised = held.raised
    for app in held.apps:
        keep_app(state, app)
    state.contracts = held.contracts
    state.subscriptions = {subscription.subject: subscription for subscription in held.subscriptions}
    state.asked = {payment.payment_id: payment for payment in held.asked}
    state.upgrade_requested = held.upgrade_requested
    state.used = dict(held.used)
    state.newest_us = held.newest_us
    state.as_of_us = held.as_of_us
    state.daily = dict(held.daily)
    state.last_added_micros = held.last_added_micros
    state.thresholds = held.thresholds
    state.auto = held.auto
    state.people = dict(held.people)
    state.licences = set(held.licences)
    state.told = dict(held.told)
    state.told_raised = held.told_raised
    state.entitled = dict(held.entitled)
    state.band = held.band
    state.emails = dict(held.emails)
    state.activity = dict(held.activity)
    for row in held.grants:
        grant = Grant(*row)
        state.grants[grant.account] = grant
        _count(state, grant)
    state.due_micros = -sum(amount for account, amount in state.totals.items() if account.startswith(DUE))
    return state


def decode_bucket(value: bytes) -> tuple[str, list[OpenCharge]]:
    """A workspace, and the open charges of one of its buckets."""
    held = _decode_bucket(value)
    return held.workspace, [OpenCharge(*row) for row in held.charges]


def _seen(content: Seen | str) -> Seen:
    return Seen(content, NOT_KNOWN) if isinstance(content, str) else content  # as an earlier version wrote it


def _ordered(app: AppState) -> AppState:
    app.collaborators = dict(sorted(app.collaborators.items()))
    return app


def _count(state: AccountState, grant: Grant) -> None:
    left = grant.remaining_micros
    if grant.is_free:
        state.free_micros += left
    elif grant.app is None:
        state.paid_shared_micros += left
    else:
        state.paid_apps_micros += left
    if not grant.expired:
        state.available_micros += left
    if left:
        state.purse.add(grant)
