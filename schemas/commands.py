"""Commands to an account, and `account.inbox` as a whole: the one stream ACCOUNTS is a function of.

Every command names who gives it and has an id; the same id again is the same command (law 3), the same id with other
content an error.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from schemas.errors import InvalidRecord, excerpt
from schemas.units import Micros, Name, Text, Unit, Watermark

MAX_AMOUNT_MICROS = 10**15
Amount = Annotated[int, Meta(ge=1, le=MAX_AMOUNT_MICROS)]


class Actor(Struct, frozen=True):
    """Who gives a command (rule W3): a role and a name."""

    role: Literal["operator", "workspace_owner", "app_owner", "collaborator", "system"]
    name: Text


class CreateWorkspace(Struct, frozen=True, tag_field="kind", tag="create_workspace"):
    """A new Standard workspace (rules W1, P2, C1), created at the command's time."""

    owner: Text


class AddFunds(Struct, frozen=True, tag_field="kind", tag="add_funds"):
    """Paid credit (rule C4) that a settled payment brought: shared, or mapped to one app."""

    amount_micros: Amount
    payment_id: Text
    app: Name | None = None


class GrantCredit(Struct, frozen=True, tag_field="kind", tag="grant_credit"):
    """Free credit given by an operator (rules C1, W3); it lasts as long as the catalog says from the command's time."""

    amount_micros: Amount
    reason: Text


CommandBody = CreateWorkspace | AddFunds | GrantCredit


class Command(Struct, frozen=True, tag_field="type", tag="command.v1"):
    """One command: `command_id` is its idempotency key, `time_us` the instant it takes effect (microseconds UTC)."""

    command_id: Text
    workspace: Name
    time_us: Micros
    actor: Actor
    body: CommandBody


InboxRecord = Unit | Watermark | Command

_decoder: msgspec.json.Decoder[InboxRecord] = msgspec.json.Decoder(InboxRecord)


def decode_inbox(value: bytes | None) -> InboxRecord:
    """One record of `account.inbox`; raises `InvalidRecord` for anything else."""
    try:
        return _decoder.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        shown = excerpt((value or b"")[:200].decode("utf-8", "replace"))
        reason = "invalid_field" if isinstance(error, msgspec.ValidationError) else "not_json"
        raise InvalidRecord(reason, "", shown, "account.inbox schema", str(error)) from None
