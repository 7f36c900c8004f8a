"""All dead letters in one place: records that METER or ACCOUNTS refused, and deliveries that MAILER gave up.

Each has a name: a refused record that of its place, `interactions-2-1043`; a delivery its id, `mail-9f89c0c9...`; what
was no alert, and so leads to no delivery, the place of its letter, `mails.dead-1-4`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.aside import SetAside
from schemas.errors import ConfigurationError
from schemas.instants import text_of
from schemas.mails import DeadMail
from schemas.settings import Settings
from scripts import mail_letters
from scripts.operating import dead_letters


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter: its name, the stable code of its reason, what is wrong, since when, and all that is known."""

    name: str
    reason: str
    what: str
    at_us: int
    known: Mapping[str, Any]


async def letters(settings: Settings, containing: str = "", reason: str | None = None) -> list[Letter]:
    """Those with this text in the record or in what is known of the delivery, and this reason; oldest first."""

    def wanted(letter: SetAside) -> bool:
        return containing in letter.payload and reason in (None, letter.reason)

    found = [_of_record(one) async for one in dead_letters.letters(settings, wanted)]
    for name, mail in (await mail_letters.named(settings)).items():
        if reason in (None, mail.reason) and containing in msgspec.json.encode(mail).decode():
            found.append(_of_mail(name, mail))
    return sorted(found, key=lambda letter: letter.at_us)


async def shown(settings: Settings, name: str) -> tuple[dict[str, str], str]:
    """What is known of a letter, labelled, and the whole record where there is one. ConfigurationError for none."""
    if mail_letters.is_name(name):
        mail = await mail_letters.letter_named(settings, name)
        known = {"channel": mail.channel, "to": mail.recipient, "workspace": mail.workspace, "alert": mail.kind,
                 "attempts": f"{mail.attempts} in round {mail.round}"} if mail.delivery_id else {}  # fmt: skip
        labels = {"reason": mail.reason, "what is wrong": mail.detail, "given up": text_of(mail.died_us), **known}
        return labels, mail.payload
    letter = await dead_letters.letter_named(settings, name)
    record = await dead_letters.record_of(settings, name)
    labels = {
        "reason": letter.reason,
        "field": letter.field,
        "value": letter.value,
        "rule": letter.rule,
        "what is wrong": letter.detail,
        "appended": text_of(letter.append_us),
        "bytes": f"{letter.size_bytes:,}",
        "key": (record.key or b"").decode(errors="replace"),
    }
    return labels, record.value.decode(errors="replace")


async def retry(settings: Settings, name: str, corrected: bytes | None, by: str, now_us: int) -> str:
    """Put a record back, as it was or corrected, or have a delivery tried again; what was done. ConfigurationError."""
    if not mail_letters.is_name(name):
        partition = await dead_letters.put_back(settings, name, corrected)
        return f"{name} is published again, in partition {partition}"
    if corrected is not None:
        raise ConfigurationError(f"{name} is tried again as the same message: leave --value out")
    letter = await mail_letters.letter_named(settings, name)
    if not letter.delivery_id:
        raise ConfigurationError(f"{name} was no alert, so there is nothing to send: {letter.detail}")
    await mail_letters.try_again(settings, letter.delivery_id, by, now_us)
    return f"{name} is tried again: {letter.kind} to {letter.recipient}"


def _of_record(letter: SetAside) -> Letter:
    what = f"{letter.field}: {letter.detail}" if letter.field not in letter.detail else letter.detail
    name = dead_letters.name_of(letter.origin)
    return Letter(name, letter.reason, what, letter.append_us, msgspec.to_builtins(letter))


def _of_mail(name: str, mail: DeadMail) -> Letter:
    what = f"{mail.kind} to {mail.recipient}: {mail.detail}" if mail.delivery_id else mail.detail
    return Letter(name, mail.reason, what, mail.died_us, msgspec.to_builtins(mail))
