"""Whom an alert is for (A3): owners of the workspace, and of the app that it is about; where they are reached.

A person is reached at the address that a command gave, or at the name where that is an address itself.
"""

from __future__ import annotations

import re

import msgspec

from schemas.alerts import Alert, Recipient
from schemas.errors import excerpt
from streams.accounts.state import AccountState

_ADDRESS = re.compile(r"[^@\s<>,;:\"\x00-\x20\x7f]{1,64}@[^@\s<>,;:\"\x00-\x20\x7f]{1,189}")


def is_address(text: str) -> bool:
    """Whether a text can stand as one address in the head of a mail; whether mail arrives there is not known."""
    return _ADDRESS.fullmatch(text) is not None


def no_address(email: str) -> str:
    """Why a given address is refused; "" if it can stand, or none is given."""
    return f"email: {excerpt(email)} is no e-mail address (A3)." if email and not is_address(email) else ""


def address_of(state: AccountState, user: str) -> str:
    """Where a person is reached; "" if that is not known."""
    return state.emails.get(user) or (user if is_address(user) else "")


def recipients(state: AccountState, app: str | None = None) -> tuple[Recipient, ...]:
    """The workspace's owners by name, then the owner of the app; each address once."""
    found = [Recipient("workspace_owner", user, address_of(state, user)) for user in _owners(state)]
    held = state.apps.get(app or "")
    if held is not None and held.owner:
        found.append(Recipient("app_owner", held.owner, address_of(state, held.owner)))
    seen: dict[str, Recipient] = {}
    for one in found:
        if one.email:
            seen.setdefault(one.email.casefold(), one)
    return tuple(seen.values())


def addressed(state: AccountState, alert: Alert) -> Alert:
    """The alert with its recipients, by the account after the record that raised it."""
    return msgspec.structs.replace(alert, recipients=recipients(state, alert.app))


def _owners(state: AccountState) -> list[str]:
    return sorted(user for user, role in state.people.items() if role == "owner")
