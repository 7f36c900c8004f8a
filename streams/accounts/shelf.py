"""The accounts of a partition in memory: those in use as states, all others packed as the changelog has them.

A packed account is three pieces of bytes (snapshot, lane, open charges), so a million accounts take little more than
what is written of them; an ordinary charge touches the last two only and unpacks nothing else. Accounts with many open
charges, grants or ids stay unpacked: packing them again and again would cost more than they take.

Law it keeps: what is packed, and when, is seen in no output and in no record (2).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from streams.accounts.held import Held
from streams.accounts.lane import Lane, decode_lane, encode_lane, enter, leave, note_final, usual_app
from streams.accounts.open_charges import close_charge, open_charge
from streams.accounts.paging import PAGE_ROWS
from streams.accounts.policy import Policy
from streams.accounts.records import account_key, charges_key, lane_key, seal_record
from streams.accounts.recovery import FurtherPages, Recovery
from streams.accounts.snapshot import (
    decode_account,
    decode_charges,
    encode_account,
    encode_charge,
    encode_charges,
    records_of,
    take_charges,
    take_pages,
)
from streams.accounts.state import BUCKET_US, AccountState, Activity, OpenCharge

WARM_ACCOUNTS: Final = 4096
"""So many accounts that were unpacked last stay so, and up to as many more that were before them."""
PACKED_CHARGES, PACKED_BUCKETS = 60, 24
"""Accounts with more open charges, or charges in more buckets, stay unpacked."""


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
        self._recovery = Recovery()

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

    def _unpack(self, held: Held, further: FurtherPages | None = None) -> AccountState:
        more = further or FurtherPages()
        state = decode_account(held.packed, [*held.pages, *more.charges], more.grants, more.taken)
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

    def restore(self, key: bytes, value: bytes) -> None:
        """Take back one record."""
        self._recovery.take(key, value)

    def restored(self, complete_us: int) -> None:
        """Everything is back, the clock being at `complete_us`; CorruptState if it does not fit."""
        recovery, self._recovery = self._recovery, Recovery()
        recovery.finish(complete_us)
        self.held = recovery.held
        self._pages.update(dict.fromkeys(recovery.gone))
        for held in self.held.values():
            further = recovery.further.get(held.workspace)
            if further is not None or len(held.charges) > 2 * PACKED_BUCKETS:
                self._unpack(held, further)

    def buckets(self, held: Held) -> Iterator[int]:
        """The buckets with open charges."""
        if held.state is not None:
            yield from held.state.buckets
        else:
            yield from held.charges[::2]  # type: ignore[misc]


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
