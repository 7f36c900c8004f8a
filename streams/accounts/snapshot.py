"""How an account is written to the changelog: the same bytes for the same history (`records` says which records).

What is derived is not written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec import Struct

from schemas.changes import AlertsSet
from streams.accounts.apps import AppState, AutoPayment, ContractSpan, Payment, Subscription, Told
from streams.accounts.changing import keep_app
from streams.accounts.grants import FOR_EVER, Grant
from streams.accounts.open_charges import reopen
from streams.accounts.records import GRANTS, OPEN, TAKEN, CorruptState, account_key, charges_key, owner_of, page_key
from streams.accounts.state import DUE, AccountState, Activity, OpenCharge, Taken

_FRONT = struct.Struct(">qq?")
_NEVER = 2**63 - 1
_GrantRow = tuple[str, str, int, int, int, str | None, int, bool, int | None]


class _Account(Struct, array_like=True):
    workspace: str
    created_us: int | None
    sequence: int
    last_hash: str
    grants: list[_GrantRow]
    totals: list[tuple[str, int]]
    old_due: list[tuple[int, str, int]]
    grant_pages: int
    taken: list[Taken]
    taken_pages: int
    unwarned: list[str]
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


_encode = msgspec.msgpack.Encoder().encode
_decode_account = msgspec.msgpack.Decoder(_Account).decode
decode_charges = msgspec.msgpack.Decoder(list[OpenCharge]).decode
_decode_grants = msgspec.msgpack.Decoder(list[_GrantRow]).decode
_decode_taken = msgspec.msgpack.Decoder(list[Taken]).decode


def take_pages(state: AccountState) -> Iterator[tuple[bytes, bytes | None]]:
    """The touched pages of grants and ids beside the account's record; they are touched no more."""
    workspace = state.workspace
    for page in state.touched_grants:
        if page:
            rows = [_grant_row(state.grants[account]) for account in sorted(state.grant_pages.on(page))]
            yield page_key(GRANTS, workspace, page), _encode(rows) if rows else None
    for page, taken in state.sealed.items():
        yield page_key(TAKEN, workspace, page), _encode(taken)
    state.touched_grants.clear()
    state.sealed.clear()


def take_charges(state: AccountState) -> Iterator[tuple[bytes, bytes | None]]:
    """The touched pages of open charges; they are touched no more."""
    for bucket, page in state.touched:
        yield charges_key(state.workspace, bucket, page), encode_charges(state, bucket, page)
    state.touched.clear()


def records_of(state: AccountState) -> dict[bytes, bytes]:
    """Every record of an account, touched or not, but full pages of ids: those are written once and not kept."""
    whole = {account_key(state.workspace): encode_account(state)}
    for page in sorted(state.grant_pages.rows):
        if page:
            rows = [_grant_row(state.grants[account]) for account in sorted(state.grant_pages.on(page))]
            whole[page_key(GRANTS, state.workspace, page)] = _encode(rows)
    for bucket in sorted(state.buckets):
        for page in sorted(state.buckets[bucket].rows):
            content = encode_charges(state, bucket, page)
            assert content is not None, "an empty page is gone"
            whole[charges_key(state.workspace, bucket, page)] = content
    return whole


def copy_of(state: AccountState) -> AccountState:
    """An account with nothing in common with this one."""
    records = records_of(state)
    account = records.pop(account_key(state.workspace))
    grants = {owner_of(key)[2]: page for key, page in records.items() if key.startswith(GRANTS)}
    charges = [page for key, page in records.items() if key.startswith(OPEN)]
    again = decode_account(account, charges, grants, {page: _encode([]) for page in range(state.taken_pages)})
    again.commands, again.payments = dict(state.commands), dict(state.payments)
    again.admitted = dict(state.admitted)
    again.strangers = dict(state.strangers)
    return again


def encode_account(state: AccountState, in_lane: bool = False) -> bytes:
    """An account without its open charges and further pages."""
    grants = [_grant_row(state.grants[account]) for account in sorted(state.grant_pages.on(0))]
    alarm_us = _NEVER if state.next_alarm_us is None else state.next_alarm_us
    lapse_us = _NEVER if state.next_lapse_us is None else state.next_lapse_us
    return _FRONT.pack(alarm_us, lapse_us, in_lane) + _encode(
        _Account(
            workspace=state.workspace,
            created_us=state.created_us,
            sequence=state.sequence,
            last_hash=state.last_hash,
            grants=grants,
            totals=sorted(state.totals.items()),
            old_due=sorted((day, app, amount) for (day, app), amount in state.old_due.items()),
            grant_pages=sum(page > 0 for page in state.grant_pages.rows),
            taken=state.taken,
            taken_pages=state.taken_pages,
            unwarned=sorted(state.unwarned),
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


def encode_charges(state: AccountState, bucket: int, page: int) -> bytes | None:
    """A page of open charges; None when there are none."""
    pages = state.buckets.get(bucket)
    units = pages.on(page) if pages is not None else None
    return _encode([state.open[unit_id] for unit_id in units]) if units else None


def encode_charge(charge: OpenCharge) -> bytes:
    """A charge as a row of its page."""
    return _encode(charge)


def front_of(account: bytes) -> tuple[int | None, int | None, bool]:
    """When a packed account next needs the clock, by `now` and by `complete`; and whether it has a lane."""
    alarm_us, lapse_us, in_lane = _FRONT.unpack_from(account)
    return (None if alarm_us == _NEVER else alarm_us), (None if lapse_us == _NEVER else lapse_us), in_lane


def decode_account(
    account: bytes, charges: Iterable[bytes] = (), grants: Mapping[int, bytes] | None = None,
    taken: Mapping[int, bytes] | None = None,
) -> AccountState:  # fmt: skip
    """An account from its record, and its pages of open charges, grants and ids by their number."""
    grants, taken = grants or {}, taken or {}
    held = _decode_account(memoryview(account)[_FRONT.size :])
    if len(grants) != held.grant_pages or set(taken) != set(range(held.taken_pages)):
        raise CorruptState(
            f"workspace {held.workspace!r}: its record counts {held.grant_pages} further pages of grants and "
            f"{held.taken_pages} of ids, the changelog holds {len(grants)} and {len(taken)}; restore accounts.changelog"
        )
    state = AccountState(held.workspace, held.created_us, held.sequence, held.last_hash)
    state.next_alarm_us, state.next_lapse_us, _ = front_of(account)
    state.totals = dict(held.totals)
    state.old_due = {(day, app): amount for day, app, amount in held.old_due}
    for page in range(held.taken_pages):
        for entry in _decode_taken(taken[page]):
            state.remember(entry)
    for entry in held.taken:
        state.remember(entry)
    state.taken, state.taken_pages = held.taken, held.taken_pages
    state.unwarned = set(held.unwarned)
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
        _take_grant(state, Grant(*row), 0)
    for page, rows in sorted(grants.items()):
        for row in _decode_grants(rows):
            _take_grant(state, Grant(*row), page)
    state.mortal.sort()
    state.due_micros = -sum(amount for account, amount in state.totals.items() if account.startswith(DUE))
    for rows in charges:
        reopen(state, decode_charges(rows))
    return state


def _grant_row(grant: Grant) -> _GrantRow:
    return (grant.account, grant.credit, grant.amount_micros, grant.granted_us, grant.expires_us, grant.app,
            grant.remaining_micros, grant.expired, grant.warned_days)  # fmt: skip


def _take_grant(state: AccountState, grant: Grant, page: int) -> None:
    state.grants[grant.account] = grant
    grant.page = page
    if grant.expires_us < FOR_EVER:
        state.mortal.append((grant.expires_us, grant.account))
    state.grant_pages.put(page, grant.account)
    take_in(state, grant)


def _ordered(app: AppState) -> AppState:
    app.collaborators = dict(sorted(app.collaborators.items()))
    return app


def take_in(state: AccountState, grant: Grant) -> None:
    """Count a known grant in all that is derived from grants."""
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
    else:
        state.spent.add(grant.account)
