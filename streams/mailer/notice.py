"""An alert as MAILER reads it: tolerant of kinds and fields it does not know, so that a newer alert is still mailed."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from schemas.errors import InvalidRecord, excerpt
from schemas.units import Name, Origin, Text


class Recipient(Struct, frozen=True):
    """One person to be told, after the ledger record that raised the alert."""

    role: str
    user: str
    email: str


class Notice(Struct, frozen=True, omit_defaults=True):
    """One alert. `alert_id` is its identity: a repeat has the same id and content. Money in micro-dollars, UTC micros.

    `percent` is the contract's usage, `due_us` when credit expires or lapsed or a fee is due, `amount_micros` the
    credit, payment or fee meant.
    """

    alert_id: Text
    workspace: Name
    kind: Text
    time_us: int
    origin: Origin
    available_micros: int
    message: str
    threshold_micros: int | None = None
    grant_id: str | None = None
    app: Name | None = None
    percent: int | None = None
    due_us: int | None = None
    amount_micros: int | None = None
    recipients: tuple[Recipient, ...] = ()


_decode = msgspec.json.Decoder(Notice).decode


def read_notice(value: bytes | None) -> Notice:
    """A record of `alerts`; InvalidRecord if it is none."""
    try:
        return _decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        shown = excerpt((value or b"")[:200].decode("utf-8", "replace"))
        raise InvalidRecord("invalid_field", "", shown, "alerts schema", str(error)) from None


def addresses(notice: Notice) -> tuple[str, ...]:
    """To whom an alert is mailed (A3): each address once, whatever its case. Owners are judged where it was raised."""
    known: dict[str, str] = {}
    for recipient in notice.recipients:
        if recipient.email:
            known.setdefault(recipient.email.casefold(), recipient.email)
    return tuple(known.values())
