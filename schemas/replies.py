"""Replies: what ACCOUNTS answers to each command, also to one that was given before (law 3).

`account.replies` is kept for a day only: it is how whoever waits for a command hears of it. The ledger is the truth.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from schemas.commands import OTHER_CONTENT, Command
from schemas.errors import InvalidRecord, excerpt
from schemas.ledger import LedgerRecord
from schemas.units import Name, Origin, Text

Outcome = Literal["accepted", "refused", "conflict"]
"""`conflict`: the id was given before with other content; the first stands."""
NOT_KNOWN = -1


class Reply(Struct, frozen=True, omit_defaults=True):
    """The answer to one command. `digest` is its content's (`digest_of`), since an id may come with several.

    `record` is the ledger record it led to. A command that was given before has none: what it led to then is the
    ledger record whose origin is offset `decided_offset` of this inbox partition (`NOT_KNOWN`: decided by a version
    that did not note it).
    """

    origin: Origin
    workspace: Name
    command_id: Text
    digest: Annotated[str, Meta(max_length=64)]
    decided_offset: int
    record: LedgerRecord | None = None


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Reply)


def digest_of(command: Command) -> str:
    """What makes two commands of one id the same: everything; the time only where the sender has set it."""
    content = msgspec.structs.replace(command, time_us=0) if command.received else command
    return hashlib.sha256(_encode(content)).hexdigest()[:32]


def outcome_of(record: LedgerRecord) -> Outcome:
    """What a command's ledger record says of it."""
    if record.kind != "command_refused":
        return "accepted"
    return "conflict" if record.note.startswith("command_id: ") and OTHER_CONTENT in record.note else "refused"


def decode_reply(value: bytes | None) -> Reply:
    """One record of `account.replies`; raises `InvalidRecord` for anything else."""
    try:
        return _decoder.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        shown = excerpt((value or b"")[:200].decode("utf-8", "replace"))
        raise InvalidRecord("invalid_field", "", shown, "reply schema", str(error)) from None
