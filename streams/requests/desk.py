"""The desk: which commands are waited for, and what was answered lately. Pure, and bounded (law 6).

An answer belongs to a content (`digest_of`), not to an id alone: whoever gives another content under a known id must
not be told the first one's answer. What was answered once is the answer for ever (law 3), so it may be kept and told
again; when it is forgotten here, the command is simply given again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple, TypeVar

from schemas.commands import Command
from schemas.ledger import LedgerRecord
from schemas.replies import Outcome, Reply, digest_of, outcome_of

KEPT = 10_000
_STANDING: Final[tuple[Outcome, ...]] = ("accepted", "refused", "conflict")
"""Of several contents under an id, which one stands."""
_Value = TypeVar("_Value")


class Key(NamedTuple):
    """A command's identity and content."""

    workspace: str
    command_id: str
    digest: str


class Old(NamedTuple):
    """A command that was decided before, at this offset of its inbox partition: its record is in the ledger."""

    key: Key
    partition: int
    offset: int


class Desk:
    """What is waited for, and what was answered lately; at most `kept` of each."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._open: OrderedDict[Key, str] = OrderedDict()
        self._answers: OrderedDict[Key, LedgerRecord] = OrderedDict()

    def expect(self, command: Command) -> Key:
        """A command is about to be given."""
        key = Key(command.workspace, command.command_id, digest_of(command))
        if key not in self._answers:
            self._remember(self._open, key, actor_of(command))
        return key

    def answer(self, key: Key) -> LedgerRecord | None:
        """What a command led to, if it was heard."""
        return self._answers.get(key)

    def hear(self, reply: Reply) -> Key | Old | None:
        """Take a reply: the key that is answered now, where its answer lies, or None when nobody here asked."""
        key = Key(reply.workspace, reply.command_id, reply.digest)
        if reply.record is not None:
            self.settle(key, reply.record)
            return key
        return Old(key, reply.origin.partition, reply.decided_offset) if key in self._open else None

    def settle(self, key: Key, record: LedgerRecord) -> None:
        """A command's ledger record is known."""
        self._open.pop(key, None)
        self._remember(self._answers, key, record)

    def told(self, workspace: str, command_id: str, actor: str | None) -> LedgerRecord | bool:
        """What an actor (None: anyone) is told of a command: its record, True if it is still open, False if unknown."""
        name = (workspace, command_id)
        found = [r for key, r in self._answers.items() if key[:2] == name and actor in (None, r.actor)]
        if found:  # under an id with several contents, the one that stands
            return min(found, key=lambda record: _STANDING.index(outcome_of(record)))
        return any(key[:2] == name and actor in (None, by) for key, by in self._open.items())

    def _remember(self, kept: OrderedDict[Key, _Value], key: Key, value: _Value) -> None:
        kept[key] = value
        kept.move_to_end(key)
        if len(kept) > self._kept:
            kept.popitem(last=False)


def actor_of(command: Command) -> str:
    """The actor as a ledger record names it."""
    return f"{command.actor.role}:{command.actor.name}"[:256]
