"""Reading what versions before format 2 wrote to the changelog: an account whole, open charges a record a bucket.

Such accounts are written again in the present format with the first batch. Leaves to others: the present format
(`snapshot`).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from schemas.changes import AlertsSet
from schemas.ledger import Covered
from schemas.replies import NOT_KNOWN
from streams.accounts.apps import AppState, AutoPayment, ContractSpan, Payment, Subscription, Told
from streams.accounts.changing import keep_app
from streams.accounts.grants import Grant
from streams.accounts.open_charges import open_charge
from streams.accounts.snapshot import take_in
from streams.accounts.state import DUE, AccountState, Activity, OpenCharge, Seen

_FIRST_BYTES = (0xDC, 0x92, 0x94)
"""MessagePack arrays: an account, a bucket, a checkpoint."""


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


_Row = tuple[str, str, int, int, str, tuple[tuple[str, int], ...], Covered, str, str, str]


class _Bucket(Struct, array_like=True):
    workspace: str
    charges: list[_Row]


class OldCheckpoint(Struct, array_like=True):
    """Marks, clocks and counts, as the present one has them."""

    marks: list[tuple[int, int, int]]
    clocks: list[tuple[int, int, int]]
    clock: tuple[int, int]
    counts: list[tuple[str, int]]


_decode_account = msgspec.msgpack.Decoder(_Account).decode
_decode_bucket = msgspec.msgpack.Decoder(_Bucket).decode
decode_checkpoint = msgspec.msgpack.Decoder(OldCheckpoint).decode


def is_old(value: bytes) -> bool:
    """Whether a record may be one of these."""
    return value[:1] != b"" and value[0] in _FIRST_BYTES


def decode_old(account: bytes, buckets: Iterable[bytes]) -> AccountState:
    """An account and its open charges, all of it to be written."""
    held = _decode_account(account)
    state = AccountState(held.workspace, held.created_us, held.sequence, held.last_hash)
    state.totals = dict(held.totals)
    state.old_due = {(day, app): amount for day, app, amount in held.old_due}
    for name, contents in held.commands:
        for content in contents:
            digest, offset = (content, NOT_KNOWN) if isinstance(content, str) else (content.digest, content.offset)
            state.take(("command", name, digest, offset))
    for name, brought in held.payments:
        state.take(("payment", name, brought, 0))
    state.raised = held.raised
    for app in held.apps:
        keep_app(state, app)
    state.contracts = held.contracts
    state.subscriptions = {subscription.subject: subscription for subscription in held.subscriptions}
    state.asked = {payment.payment_id: payment for payment in held.asked}
    state.upgrade_requested = held.upgrade_requested
    state.used = dict(held.used)
    state.newest_us, state.as_of_us = held.newest_us, held.as_of_us
    state.daily = dict(held.daily)
    state.last_added_micros = held.last_added_micros
    state.thresholds, state.auto = held.thresholds, held.auto
    state.people, state.emails = dict(held.people), dict(held.emails)
    state.licences = set(held.licences)
    state.told, state.told_raised = dict(held.told), held.told_raised
    state.entitled, state.band = dict(held.entitled), held.band
    state.activity = dict(held.activity)
    for row in held.grants:
        grant = Grant(*row)
        state.keep_grant(grant)
        take_in(state, grant)
    state.due_micros = -sum(amount for account, amount in held.totals if account.startswith(DUE))
    for bucket in buckets:
        for charge in _decode_bucket(bucket).charges:
            open_charge(state, OpenCharge(*charge))
    return state
