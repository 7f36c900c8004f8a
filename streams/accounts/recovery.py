"""Accounts from a changelog's records, in any order: packed as they are, looked over, refused where they do not fit.

Leaves to others: which of a key's records counts (`streams.durable.changelog`), and which accounts to unpack (`shelf`).
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from streams.accounts.held import Held
from streams.accounts.old_snapshot import decode_old, is_old
from streams.accounts.records import (
    ACCOUNT,
    GRANTS,
    LANE,
    OPEN,
    CorruptState,
    account_key,
    charges_key,
    lane_key,
    open_record,
    owner_of,
)
from streams.accounts.snapshot import front_of
from streams.accounts.state import BUCKET_US


class FurtherPages(Struct):
    """Pages of an account of a kind that a packed one does not have: those after the first."""

    charges: list[bytes] = []
    grants: dict[int, bytes] = {}
    taken: dict[int, bytes] = {}


class Recovery:
    """What was found. After `finish`: all accounts, their further pages, and the keys of records that are to go."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.further: dict[str, FurtherPages] = {}
        self.gone: list[bytes] = []
        self._old: dict[bytes, bytes] = {}

    def take(self, key: bytes, value: bytes) -> None:
        """One state record; CorruptState if it cannot be read."""
        if is_old(value) and key.startswith((ACCOUNT, OPEN)):
            self._old[key] = value
            return
        body = open_record(key, value)
        workspace, bucket, page = owner_of(key)
        held = self.held.get(workspace)
        if held is None:
            held = self.held[workspace] = Held(workspace)
        if key.startswith(ACCOUNT):
            held.packed = body
        elif key.startswith(LANE):
            held.packed_lane = body
        elif key.startswith(OPEN) and page == 0:
            held.charges = (*held.charges, bucket, body)
        else:
            further = self.further.setdefault(workspace, FurtherPages())
            if key.startswith(OPEN):
                further.charges.append(body)
            else:
                (further.grants if key.startswith(GRANTS) else further.taken)[page] = body

    def finish(self, complete_us: int) -> None:
        """Everything is there; CorruptState if something is missing."""
        for held in self.held.values():
            self._look_over(held, complete_us)
        self._take_old()

    def _look_over(self, held: Held, complete_us: int) -> None:
        if not held.packed:
            raise CorruptState(
                f"the changelog holds records of workspace {held.workspace!r} but not "
                f"{account_key(held.workspace)!r}: restore accounts.changelog from a copy"
            )
        held.alarm_us, held.lapse_us, in_lane = front_of(held.packed)
        if not in_lane:
            held.packed_lane = b""  # written late by a paused worker
        elif not held.packed_lane:
            raise CorruptState(
                f"the changelog holds {account_key(held.workspace)!r} but not {lane_key(held.workspace)!r}, "
                "without which its balances are old: restore accounts.changelog from a copy"
            )
        for at in range(len(held.charges) - 2, -1, -2):
            bucket = held.charges[at]
            assert isinstance(bucket, int), "a page follows its bucket"
            if (bucket + 1) * BUCKET_US <= complete_us:  # final, so this was written late, too
                self.gone.append(charges_key(held.workspace, bucket))
                held.charges = held.charges[:at] + held.charges[at + 2 :]

    def _take_old(self) -> None:
        """Accounts in the format before this one, all of them to be written in this."""
        buckets: dict[str, list[bytes]] = {}
        for key, value in self._old.items():
            if key.startswith(OPEN):
                buckets.setdefault(key[len(OPEN) :].rsplit(b"/", 1)[0].decode(), []).append(value)
                self.gone.append(key)
        for key, value in self._old.items():
            if key.startswith(ACCOUNT):
                try:
                    state = decode_old(value, buckets.pop(key[len(ACCOUNT) :].decode(), ()))
                except msgspec.DecodeError as error:
                    raise CorruptState(f"changelog record {key!r} cannot be read: {error}") from None
                self.held[state.workspace] = Held(state.workspace, state)
        for workspace in buckets:
            raise CorruptState(f"the changelog holds open charges of {workspace!r} but not {account_key(workspace)!r}")
