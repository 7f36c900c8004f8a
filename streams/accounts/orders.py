"""An order: a command before an account. What each kind needs is a `Rule`: why it is refused, and what it leads to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from schemas.commands import Command
from schemas.errors import excerpt
from schemas.ledger import EntryKind
from streams.accounts.apps import AppState
from streams.accounts.draft import Draft
from streams.accounts.policy import Policy
from streams.accounts.state import AccountState, Clock

_MAX_ID_CHARACTERS = 64


class Order(NamedTuple):
    """A command to an account, under a policy, at a time of the clock."""

    state: AccountState
    command: Command
    policy: Policy
    clock: Clock

    @property
    def effective_us(self) -> int:
        """When a change of plan takes effect: at the command's time, but after every unit already taken, so that no
        charge rests on a history that changed later."""
        return max(self.command.time_us, self.state.newest_us + 1)

    def app(self, name: str) -> AppState:
        """An app that is known."""
        return self.state.apps[name]

    def no_such_app(self, name: str) -> str:
        """Why an app cannot be meant; "" if it is known."""
        if name in self.state.apps:
            return ""
        return f"app: {excerpt(name)} does not exist; it must be created first (W1)."


class Rule(NamedTuple):
    """One kind of command: the first reason not to obey ("" if none), what it does to the draft, and the record's
    kind. `refuse` sees an account that exists, but for the command that creates it."""

    kind: EntryKind
    refuse: Callable[[Order, Any], str]
    obey: Callable[[Order, Any, Draft], None]


def short(text: str) -> str:
    """An id as part of another: itself, or its digest where it is long."""
    if len(text) <= _MAX_ID_CHARACTERS:
        return text
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()[:32]
