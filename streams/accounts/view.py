"""The accounts as they stand, for whoever looks at them: tests, simulations, verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from streams.accounts.lane import decode_lane, encode_lane, leave
from streams.accounts.shelf import Shelf
from streams.accounts.snapshot import copy_of, decode_account
from streams.accounts.state import AccountState


class Accounts(Mapping[str, AccountState]):
    """By workspace, each a copy of its own."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def __getitem__(self, workspace: str) -> AccountState:
        held = self._shelf.held[workspace]
        live = held.state
        state = copy_of(live) if live is not None else decode_account(held.packed, held.pages)
        lane = self._shelf.lane(held)
        if lane is not None:
            leave(state, decode_lane(encode_lane(lane)))
        return state

    def __iter__(self) -> Iterator[str]:
        return iter(self._shelf.held)

    def __len__(self) -> int:
        return len(self._shelf.held)
