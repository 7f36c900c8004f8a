"""The ledger record that an old command led to, found by its origin: a binary search over one ledger partition.

Ledger records lie in the order of their origins (law 2). Where a restart repeated some, or a paused worker left old
ones behind newer ones, the search may miss; then the partition is read from its beginning.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, Protocol

from schemas.ledger import LedgerRecord, decode_ledger
from schemas.replies import NOT_KNOWN
from streams.requests.desk import Old

NEAR = 500
"""So many records are read in one go rather than searched."""


class Reader(Protocol):
    """What is asked of a partition: see `streams.durable.reader.PartitionReader`."""

    async def beginning(self) -> int: ...
    async def end(self) -> int: ...
    def read(self, start: int, end: int) -> AsyncIterator[list[Any]]: ...


NewReader = Callable[[int], AbstractAsyncContextManager[Reader]]


async def find_record(new_reader: NewReader, old: Old) -> LedgerRecord | None:
    """The ledger record of a command decided before; None if the ledger does not hold it (yet)."""
    async with new_reader(old.partition) as ledger:
        first, end = await ledger.beginning(), await ledger.end()
        if old.offset != NOT_KNOWN:
            start = await _search(ledger, first, end, old.offset)
            found = await _scan(ledger, start, end, old, beyond=True)
            if found is not None:
                return found
        return await _scan(ledger, first, end, old, beyond=False)


async def _search(ledger: Reader, low: int, high: int, offset: int) -> int:
    """A place shortly before the first record whose origin is at `offset` or later."""
    while high - low > NEAR:
        middle = (low + high) // 2
        record = await _next(ledger, middle, high)
        if record is None or record.origin.offset >= offset:
            high = middle
        else:
            low = middle
    return low


async def _next(ledger: Reader, start: int, end: int) -> LedgerRecord | None:
    async with aclosing(ledger.read(start, end)) as runs:  # type: ignore[type-var]  # an async generator, as a Protocol can say
        async for records in runs:
            return decode_ledger(records[0].value)
    return None


async def _scan(ledger: Reader, start: int, end: int, old: Old, *, beyond: bool) -> LedgerRecord | None:
    """The record, from `start` on; `beyond` stops where later origins begin."""
    async with aclosing(ledger.read(start, end)) as runs:  # type: ignore[type-var]
        async for records in runs:
            for raw in records:
                record = decode_ledger(raw.value)
                if _is_of(record, old):
                    return record
                if beyond and record.origin.offset > old.offset:
                    return None
    return None


def _is_of(record: LedgerRecord, old: Old) -> bool:
    key = old.key
    if record.workspace != key.workspace or record.cause != key.command_id:
        return False
    return old.offset in (NOT_KNOWN, record.origin.offset)
