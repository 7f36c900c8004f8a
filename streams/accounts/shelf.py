"""The accounts of a partition in memory: those in use as states, all others packed as the changelog has them.

A packed account is three pieces of bytes (snapshot, lane, open charges), so a million accounts take little more than
what is written of them; an ordinary charge touches the last two only and unpacks nothing else. Accounts with many open
charges, grants or ids stay unpacked: packing them again and again would cost more than they take.

Law it keeps: what is packed, and when, is seen in no output and in no record (2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from streams.accounts.lane import Lane, decode_lane, encode_lane, enter, leave, note_final, usual_app
from streams.accounts.old_snapshot import decode_old, is_old
from streams.accounts.open_charges import close_charge, open_charge
from streams.accounts.paging import PAGE_ROWS
from streams.accounts.policy import Policy
from streams.accounts.snapshot import (
    ACCOUNT,
    GRANTS,
    LANE,
    OPEN,
    CorruptState,
    account_key,
    charges_key,
    copy_of,
    decode_account,
    decode_charges,
    encode_account,
    encode_charge,
    encode_charges,
    front_of,
    lane_key,
    open_record,
    owner_of,
    records_of,
    seal_record,
    take_charges,
    take_pages,
)
from streams.accounts.state import BUCKET_US, AccountState, Activity, OpenCharge

WARM_ACCOUNTS: Final = 4096
"""So many accounts that were unpacked last stay so, and up to as many more that were before them."""
PACKED_CHARGES, PACKED_BUCKETS = 60, 24
"""Accounts with more open charges, or charges in more buckets, stay unpacked."""


class Held(Struct, gc=False, eq=False):
    """One account. Packed (`state` is None) or not; `packed` and `packed_lane` are what the changelog has of it.

    `lane` is the lane as it is, None where there is none or it is packed. `charges` are the open charges of a packed
    account: a bucket, its page, the next bucket, ... `alarm_us` and `lapse_us`: when it next needs the clock.
    """

    workspace: str
    state: AccountState | None = None
    packed: bytes = b""
    lane: Lane | None = None
    packed_lane: bytes = b""
    charges: tuple[int | bytes, ...] = ()
    alarm_us: int | None = None
    lapse_us: int | None = None
    has_changed: bool = False
    """Whether the account has changed otherwise than by ordinary charges since it was written."""


class _Pages(Struct):
    """Pages of one account found in the changelog, of a kind that a packed one does not have."""

    charges: list[bytes]
    grants: dict[int, bytes]
    taken: dict[int, bytes]


class Shelf:
    """All accounts of one partition."""

    def __init__(self, policy: Policy) -> None:
        self.held: dict[str, Held] = {}
        self.written_soon: dict[str, Held] = {}
        """Accounts whose lane, state or open charges have changed since the last `take_changes`."""
        self.warm_accounts = WARM_ACCOUNTS
        self._policy = policy
        self._pages: dict[bytes, bytes | None] = {}  # of packed accounts, since the last `take_changes`
        self._warm: dict[str, Held] = {}
        self._cooling: dict[str, Held] = {}
        self._found: dict[str, _Pages] = {}
        self._old: dict[bytes, bytes] = {}

    def lane(self, held: Held) -> Lane | None:
        """An account's lane, unpacked."""
        if held.lane is None and held.packed_lane and held.state is None:
            held.lane = decode_lane(held.packed_lane)
        return held.lane

    def is_open(self, held: Held, unit_id: str) -> bool:
        """Whether a charge of the unit is open. A packed account that holds the id somewhere is unpacked for it."""
        if held.state is not None:
            return unit_id in held.state.open
        sought = unit_id.encode()
        for page in held.charges[1::2]:
            if sought in page:  # type: ignore[operator]
                return unit_id in self._unpack(held).open
        return False

    def usual(self, held: Held, app: str) -> Activity | None:
        """See `lane.usual_app`, of an account with too many apps for its lane."""
        return usual_app(held.state or self._unpack(held), app)

    def keep(self, held: Held, charge: OpenCharge) -> None:
        """Keep an ordinary charge open."""
        if held.state is not None:
            open_charge(held.state, charge)
            return
        bucket, charges = charge.start_us // BUCKET_US, held.charges
        at = len(charges) - 2
        while at >= 0 and charges[at] != bucket:
            at -= 2
        if at < 0:
            if len(charges) >= 2 * PACKED_BUCKETS:
                open_charge(self._unpack(held), charge)
                return
            page = b"\x91" + encode_charge(charge)
            held.charges = (*charges, bucket, page)
        else:
            before = charges[at + 1]
            assert isinstance(before, bytes), "a page follows its bucket"
            if before[0] & 0x0F == PAGE_ROWS:
                open_charge(self._unpack(held), charge)
                return
            page = bytes((before[0] + 1,)) + before[1:] + encode_charge(charge)
            held.charges = (*charges[: at + 1], page, *charges[at + 2 :])
        self._pages[charges_key(held.workspace, bucket)] = page

    def forget(self, held: Held, bucket: int) -> bool:
        """Drop a bucket that is final of an account in its lane; False if there is more to it than that."""
        lane = self.lane(held)
        if lane is None or lane.has_spent:
            return False
        state = held.state
        if state is not None:
            charges = [state.open[unit_id] for row in state.buckets[bucket].rows.values() for unit_id in row]
        else:
            at = held.charges.index(bucket)
            charges = decode_charges(held.charges[at + 1])  # type: ignore[arg-type]
        if not note_final(lane, charges):
            return False
        self.written_soon[held.workspace] = held
        if state is not None:
            for charge in charges:
                close_charge(state, charge)
            return True
        held.charges = held.charges[:at] + held.charges[at + 2 :]
        self._pages[charges_key(held.workspace, bucket)] = None
        return True

    def has_bucket(self, held: Held, bucket: int) -> bool:
        """Whether charges of the bucket are open."""
        return bucket in held.charges[::2] if held.state is None else bucket in held.state.buckets

    def state(self, workspace: str) -> AccountState:
        """An account to decide on, out of its lane; `close` must follow."""
        held = self.held.get(workspace)
        if held is None:
            held = self.held[workspace] = Held(workspace, AccountState(workspace))
        lane = self.lane(held)
        state = held.state or self._unpack(held)
        if lane is not None:
            leave(state, lane)
            held.lane = None
            held.has_changed = True
        return state

    def in_use(self, workspace: str) -> AccountState:
        """The account that a fact has just been decided on."""
        state = self.held[workspace].state
        assert state is not None, "`state` was asked for"
        return state

    def close(self, state: AccountState, has_changed: bool) -> None:
        """Into the lane again, after a fact that was no ordinary charge."""
        workspace = state.workspace
        held = self.held[workspace]
        if has_changed or held.has_changed:
            held.has_changed = True
            held.lane = enter(state, self._policy)
            held.alarm_us, held.lapse_us = state.next_alarm_us, state.next_lapse_us
            self.written_soon[workspace] = held
        if state.sequence:
            self._warm[workspace] = held
        else:
            del self.held[workspace]  # nothing came of its first fact

    def take_changes(self) -> list[tuple[bytes, bytes | None]]:
        """What has changed, each record once, sealed."""
        changes = [(key, None if page is None else seal_record(key, page)) for key, page in self._pages.items()]
        self._pages.clear()
        for held in self.written_soon.values():
            if held.has_changed or held.state is not None:
                self._take_changes_of(held, changes)
            elif held.lane is not None:
                held.packed_lane = encode_lane(held.lane)
                held.lane = None
                key = lane_key(held.workspace)
                changes.append((key, seal_record(key, held.packed_lane)))
        self.written_soon.clear()
        if len(self._warm) >= self.warm_accounts:
            self._cool()
        return changes

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """All that a changelog would hold between batches, sealed, but for full pages of ids."""
        for held in self.held.values():
            state = held.state
            whole = {account_key(held.workspace): held.packed}
            if state is not None:
                whole = records_of(state) | whole
            for at in range(0, len(held.charges), 2):
                bucket, page = held.charges[at : at + 2]
                whole[charges_key(held.workspace, bucket)] = page  # type: ignore[arg-type, assignment]
            if held.packed_lane:
                whole[lane_key(held.workspace)] = held.packed_lane
            yield from ((key, seal_record(key, body)) for key, body in whole.items())

    def _take_changes_of(self, held: Held, changes: list[tuple[bytes, bytes | None]]) -> None:
        state, lane = held.state, held.lane
        assert state is not None, "a packed account changes in its lane only"
        found: list[tuple[bytes, bytes | None]] = []
        if held.has_changed:
            held.has_changed = False
            held.packed = encode_account(state, lane is not None)
            found.append((account_key(held.workspace), held.packed))
            found.extend(take_pages(state))
        if lane is not None:
            held.packed_lane = encode_lane(lane)
            found.append((lane_key(held.workspace), held.packed_lane))
        elif held.packed_lane:
            held.packed_lane = b""
            found.append((lane_key(held.workspace), None))
        if state.touched:
            found.extend(take_charges(state))
        changes.extend((key, None if body is None else seal_record(key, body)) for key, body in found)

    def _unpack(self, held: Held) -> AccountState:
        pages = self._found.pop(held.workspace, None) or _Pages([], {}, {})
        pages.charges.extend(_pages_of(held))
        state = decode_account(held.packed, pages.charges, pages.grants, pages.taken)
        if held.packed_lane and held.lane is None:
            held.lane = decode_lane(held.packed_lane)
        for at in range(0, len(held.charges), 2):
            # Pages stand in the state from here on, and what waits to be written is the state's to write.
            key = charges_key(held.workspace, held.charges[at])  # type: ignore[arg-type]
            if self._pages.pop(key, None) is not None:
                state.touched[held.charges[at], 0] = None  # type: ignore[index]
        held.state, held.charges = state, ()
        self.held[held.workspace] = self._warm[held.workspace] = held
        if state.touched:
            self.written_soon[held.workspace] = held
        return state

    def _cool(self) -> None:
        """Pack again what has not been unpacked or decided on since the last time."""
        for workspace, held in self._cooling.items():
            if workspace not in self._warm and held.state is not None:
                if _is_small(held.state):
                    _pack(held, held.state)
                else:
                    self._warm[workspace] = held
        self._cooling, self._warm = self._warm, {}

    # Reading back.

    def restore(self, key: bytes, value: bytes) -> None:
        """Take back one record."""
        if is_old(value):
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
        elif key.startswith(OPEN):
            if page == 0:
                held.charges = (*held.charges, bucket, body)
            else:
                self._found.setdefault(workspace, _Pages([], {}, {})).charges.append(body)
        else:
            found = self._found.setdefault(workspace, _Pages([], {}, {}))
            (found.grants if key.startswith(GRANTS) else found.taken)[page] = body

    def restored(self, complete_us: int) -> None:
        """Everything is back. Buckets final by then were written late by a paused worker: they go."""
        self._take_old()
        for held in self.held.values():
            if held.state is not None:
                continue
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
            stale = [at for at in range(0, len(held.charges), 2) if _is_final(held.charges[at], complete_us)]
            for at in reversed(stale):
                self._pages[charges_key(held.workspace, held.charges[at])] = None  # type: ignore[arg-type]
                held.charges = held.charges[:at] + held.charges[at + 2 :]
            if len(held.charges) > 2 * PACKED_BUCKETS or held.workspace in self._found:
                self._unpack(held)

    def _take_old(self) -> None:
        """Accounts in the format before this one, all of them to be written in this."""
        buckets: dict[str, list[bytes]] = {}
        for key, value in self._old.items():
            if key.startswith(OPEN):
                buckets.setdefault(key[len(OPEN) :].rsplit(b"/", 1)[0].decode(), []).append(value)
                self._pages[key] = None
        for key, value in self._old.items():
            if key.startswith(ACCOUNT):
                try:
                    state = decode_old(value, buckets.get(key[len(ACCOUNT) :].decode(), ()))
                except msgspec.DecodeError as error:
                    raise CorruptState(f"changelog record {key!r} cannot be read: {error}") from None
                self.held[state.workspace] = Held(state.workspace, state)
        self._old.clear()

    def buckets(self, held: Held) -> Iterator[int]:
        """The buckets with open charges."""
        if held.state is not None:
            yield from held.state.buckets
        else:
            yield from held.charges[::2]  # type: ignore[misc]


def _pages_of(held: Held) -> list[bytes]:
    return [page for page in held.charges if isinstance(page, bytes)]


def _is_final(bucket: int | bytes, complete_us: int) -> bool:
    assert isinstance(bucket, int), "a page follows its bucket"
    return (bucket + 1) * BUCKET_US <= complete_us


def _is_small(state: AccountState) -> bool:
    return (
        len(state.open) <= PACKED_CHARGES
        and len(state.buckets) <= PACKED_BUCKETS
        and state.grant_pages.highest == 0
        and state.taken_pages == 0
        and all(pages.highest == 0 for pages in state.buckets.values())
    )


def _pack(held: Held, state: AccountState) -> None:
    """`packed` and `packed_lane` are up to date between batches."""
    charges: list[int | bytes] = []
    for bucket in state.buckets:
        charges += (bucket, encode_charges(state, bucket, 0) or b"")
    held.charges, held.state, held.lane = tuple(charges), None, None


class Accounts(Mapping[str, AccountState]):
    """The accounts as they stand, for whoever looks at them: each a copy of its own."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def __getitem__(self, workspace: str) -> AccountState:
        held = self._shelf.held[workspace]
        live = held.state
        state = copy_of(live) if live is not None else decode_account(held.packed, _pages_of(held))
        lane = self._shelf.lane(held)
        if lane is not None:
            leave(state, decode_lane(encode_lane(lane)))
        return state

    def __iter__(self) -> Iterator[str]:
        return iter(self._shelf.held)

    def __len__(self) -> int:
        return len(self._shelf.held)
