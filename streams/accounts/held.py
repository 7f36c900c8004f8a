"""One account in memory, packed as the changelog has it or in use (`shelf`)."""

from __future__ import annotations

from msgspec import Struct

from streams.accounts.lane import Lane
from streams.accounts.state import AccountState


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

    @property
    def pages(self) -> list[bytes]:
        """The pages of a packed account's open charges."""
        return [page for page in self.charges if isinstance(page, bytes)]
