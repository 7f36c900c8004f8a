"""The ledger record: one per input that had an effect (law 4), double entry, hash-chained (rules L1, L2).

Amounts are integer micro-dollars (C7). `lines` sum to zero. Account names:

- `grant:<grant_id>`: credit the workspace holds; its lines sum to what remains of that grant.
- `due:<app>`: charges of the app that no credit covered (C6); never positive, and minus it is what is owed.
- `usage:<kind>`: what was charged for conversations, sessions, ...
- `issued:free`, `issued:paid`: where credit comes from. `lapsed`: where expired credit goes (C3).
- `fees:<purpose>`, `received`: fees paid (P8), and where they came from; they are no credit.

A record's lines are one or more postings, one after the other; each sums to zero where it ends and not before. The
first line says what a posting is: `issued:*` new credit, `usage:*` a charge (positive) or the reversal of one
(negative), in the order of `charges`; `due:*` the settlement of what was owed, by the grant of its second line;
`lapsed` credit that lapses; `grant:*` credit moved out of it into the grant of the last line; `fees:*` a fee paid.
A unit that costs nothing because it is included in a plan, lies past what a plan allows, or belongs to an app that is
not published has a charge with the reason in `covered` and one line of zero.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from schemas.changes import Change
from schemas.errors import InvalidRecord, excerpt
from schemas.units import Micros, Name, Origin, Text, UnitId

GENESIS_HASH = "0" * 64
"""`previous_hash` of a workspace's first record."""

EntryKind = Literal[
    "workspace_created",
    "credit_added",
    "charge",
    "reversal",
    "lapse",
    "command_refused",
    "app_changed",
    "plan_changed",
    "payment_requested",
    "payment_settled",
    "payment_failed",
    "settings_changed",
    "credit_moved",
    "people_changed",
    "licence_changed",
    "late_admitted",
]
Covered = Literal["", "included", "beyond", "unpublished"]
"""Why a charge costs nothing: it is one of the plan's included units, lies past them where more is not sold (trial, a
contract that blocks), or its app was not published when it began (E4)."""


class Line(Struct, frozen=True, gc=False):
    """One line of a posting; `balance_micros` is the account's balance after it."""

    account: Text
    amount_micros: int
    balance_micros: int


class Charge(Struct, frozen=True, gc=False, omit_defaults=True):
    """What was priced: the unit, the price version in force at its start (P1), and who used it.

    `reversed`: the record takes this charge back (C8); its `usage` line is negative. `covered` says why it costs
    nothing; `pool` names the term whose included units it counts in: `<app>@<start of the term>`, without an app for
    a contract.
    """

    unit_id: UnitId
    unit_kind: Text
    app: Name
    channel: Name
    start_us: Micros
    price_micros: Annotated[int, Meta(ge=0)]
    plan: Text
    reversed: bool = False
    covered: Covered = ""
    pool: str = ""


class GrantOpened(Struct, frozen=True, gc=False, omit_defaults=True):
    """A new grant: free or paid credit, shared (`app` absent) or mapped to one app, with its expiry if it has one.
    `moved`: it comes out of other grants of the workspace (C4), and is no new credit."""

    grant_id: Text
    credit: Literal["free", "paid"]
    amount_micros: Annotated[int, Meta(ge=1)]
    granted_us: Micros
    expires_us: Micros | None = None
    app: Name | None = None
    moved: bool = False


class Balances(Struct, frozen=True, gc=False):
    """A workspace's balances after a record. `due_micros` is what is owed (never negative)."""

    free_micros: int
    paid_shared_micros: int
    paid_apps_micros: int
    due_micros: int


class LedgerRecord(Struct, frozen=True, gc=False, omit_defaults=True):
    """One record of the ledger topic, keyed by workspace; `sequence` starts at 1 and has no gap.

    `origin` is the record of `account.inbox` it derives from, `cause` a sentence-like id of it (unit or command id).
    `time_us` is the instant the posting takes effect: a unit's start, a command's time, a grant's expiry.
    A refused command leaves a record without lines whose `note` says why.
    """

    workspace: Name
    sequence: Annotated[int, Meta(ge=1)]
    kind: EntryKind
    time_us: Micros
    origin: Origin
    cause: Text
    lines: tuple[Line, ...]
    balances: Balances
    previous_hash: Annotated[str, Meta(min_length=64, max_length=64)]
    hash: str = ""
    charges: tuple[Charge, ...] = ()
    grants: tuple[GrantOpened, ...] = ()
    actor: Text | None = None
    note: Annotated[str, Meta(max_length=1024)] = ""
    changes: tuple[Change, ...] = ()


_HASH = b',"hash":"'
_HASH_BYTES = len(_HASH) + 64 + 1
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(LedgerRecord)


def seal(record: LedgerRecord) -> LedgerRecord:
    """The record with its `hash`: SHA-256 of its JSON with an empty hash, which holds the previous record's hash."""
    bare = msgspec.structs.replace(record, hash="")
    return msgspec.structs.replace(record, hash=hashlib.sha256(_encoder.encode(bare)).hexdigest())


def is_intact(record: LedgerRecord, value: bytes = b"") -> bool:
    """Whether the record's content still has the hash it carries (rule L2).

    `value`: the JSON it was decoded from, if at hand; taken as it stands, less its hash, that is cheaper to check.
    """
    at = value.find(_HASH)  # within a JSON string its quotes would be escaped
    if at >= 0 and hashlib.sha256(value[:at] + value[at + _HASH_BYTES :]).hexdigest() == record.hash:
        return True
    return seal(record).hash == record.hash


def encode_ledger(record: LedgerRecord) -> bytes:
    """The record as it stands in the topic."""
    return _encoder.encode(record)


def decode_ledger(value: bytes | None) -> LedgerRecord:
    """One record of the ledger topic; raises `InvalidRecord` for anything else."""
    try:
        return _decoder.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        shown = excerpt((value or b"")[:200].decode("utf-8", "replace"))
        raise InvalidRecord("invalid_field", "", shown, "ledger schema", str(error)) from None
