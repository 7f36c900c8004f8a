"""Verifying a ledger topic (L1, L2): any edited byte, missing record or swapped pair is found and named.

Walks the records of one partition in offset order. A record that is there again, as a producer's retry may leave it, is
no fault if it is the same to the byte; so the hash of every record is kept by number, 32 bytes each. A record missing
at the end is missed by nobody but ACCOUNTS' state, whose heads are compared when all is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from schemas.errors import InvalidRecord
from schemas.ledger import GENESIS_HASH, LedgerRecord, decode_ledger, encode_ledger, is_intact


class Fault(NamedTuple):
    """Something wrong: where it lies, whose record it is (as far as it can be read), and what is wrong.

    `offset` is None for what lies nowhere; `sequence` 0 for what is no record.
    """

    partition: int
    offset: int | None
    workspace: str
    sequence: int
    what: str

    def __str__(self) -> str:
        place = f"ledger-{self.partition}" + ("" if self.offset is None else f"@{self.offset}")
        whose = f"record {self.sequence} of {self.workspace} " if self.sequence else ""
        return f"{place}: {whose}{self.what}"


class Head(NamedTuple):
    """A workspace's newest record as ACCOUNTS knows it."""

    sequence: int
    hash: str


class Verifier:
    """What has been seen of each workspace of a partition: digests by number, and the newest record's hash."""

    def __init__(self, partition: int, heads: Mapping[str, Head] | None = None) -> None:
        self.partition = partition
        self.digests: dict[str, list[bytes]] = {}
        self.hashes: dict[str, str] = {}
        self.records = 0
        self._heads = heads or {}

    def take(self, offset: int, value: bytes | None) -> list[Fault]:
        """One record; what is wrong with it."""
        self.records += 1
        try:
            record = decode_ledger(value)
        except InvalidRecord as error:
            return [Fault(self.partition, offset, "", 0, f"no ledger record: {error.detail}")]
        if encode_ledger(record) != value:
            return [self._fault(offset, record, "is not written as it was sealed")]
        if not is_intact(record):
            return [self._fault(offset, record, "does not have the hash it carries")]
        found = []
        total = sum(line.amount_micros for line in record.lines)
        if total:
            found.append(self._fault(offset, record, f"has lines that sum to {total}"))
        if record.origin.partition != self.partition:
            found.append(self._fault(offset, record, f"belongs in partition {record.origin.partition}"))
        return found + self._place(offset, record, hashlib.sha256(value).digest())

    def end(self) -> list[Fault]:
        """What is missing when all records have been taken."""
        found = []
        for workspace, head in sorted(self._heads.items()):
            seen = len(self.digests.get(workspace, []))
            if seen < head.sequence:
                what = f"is missing, with all after {seen}: ACCOUNTS has posted it"
                found.append(Fault(self.partition, None, workspace, head.sequence, what))
        return found

    def _place(self, offset: int, record: LedgerRecord, digest: bytes) -> list[Fault]:
        seen = self.digests.setdefault(record.workspace, [])
        if record.sequence <= len(seen):
            known = seen[record.sequence - 1]
            same = known in (digest, b"")
            return [] if same else [self._fault(offset, record, "is there before with other content")]
        found = []
        if record.sequence > len(seen) + 1:
            last, missing = len(seen), record.sequence - len(seen) - 1
            found.append(self._fault(offset, record, f"follows {last}: {missing} missing, or out of place"))
            seen.extend([b""] * missing)
        elif record.previous_hash != self.hashes.get(record.workspace, GENESIS_HASH):
            found.append(self._fault(offset, record, "does not carry the hash of the one before"))
        head = self._heads.get(record.workspace)
        if head is not None and head.sequence == record.sequence and head.hash != record.hash:
            found.append(self._fault(offset, record, "is not the one that ACCOUNTS posted"))
        seen.append(digest)
        self.hashes[record.workspace] = record.hash
        return found

    def _fault(self, offset: int, record: LedgerRecord, what: str) -> Fault:
        return Fault(self.partition, offset, record.workspace, record.sequence, what)


def verify(
    partition: int, values: Iterable[tuple[int, bytes | None]], heads: Mapping[str, Head] | None = None
) -> list[Fault]:
    """Everything wrong with a partition's records, given with their offsets in that order."""
    verifier = Verifier(partition, heads)
    return [fault for offset, value in values for fault in verifier.take(offset, value)] + verifier.end()
