"""Verifying a ledger topic (L1, L2): any edited byte, missing record or swapped pair is found and named.

Walks the records of one partition in offset order. A record that is there again, as a producer's retry may leave it, is
no fault if it is the same to the byte; so the hash of every record is kept by number, 32 bytes each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from schemas.errors import InvalidRecord
from schemas.ledger import GENESIS_HASH, LedgerRecord, decode_ledger, encode_ledger, is_intact


class Verifier:
    """What has been seen of each workspace: digests by number, and the newest record's hash."""

    def __init__(self) -> None:
        self.digests: dict[str, list[bytes]] = {}
        self.hashes: dict[str, str] = {}
        self.records = 0

    def take(self, place: str, value: bytes | None) -> list[str]:
        """One record; what is wrong with it, in sentences. `place` says where it lies."""
        self.records += 1
        try:
            record = decode_ledger(value)
        except InvalidRecord as error:
            return [f"{place}: no ledger record: {error.detail}"]
        name = f"{place}: record {record.sequence} of {record.workspace}"
        if encode_ledger(record) != value:
            return [f"{name} is not written as it was sealed"]
        if not is_intact(record):
            return [f"{name} does not have the hash it carries"]
        return self._place(name, record, hashlib.sha256(value).digest())

    def _place(self, name: str, record: LedgerRecord, digest: bytes) -> list[str]:
        seen = self.digests.setdefault(record.workspace, [])
        if record.sequence <= len(seen):
            known = seen[record.sequence - 1]
            return [] if known in (digest, b"") else [f"{name} is there before with other content"]
        found = []
        if record.sequence > len(seen) + 1:
            first = len(seen) + 1
            found.append(f"{name} follows {first - 1}: {record.sequence - first} missing, or out of place")
            seen.extend([b""] * (record.sequence - first))
        elif record.previous_hash != self.hashes.get(record.workspace, GENESIS_HASH):
            found.append(f"{name} does not carry the hash of the one before")
        seen.append(digest)
        self.hashes[record.workspace] = record.hash
        return found


def verify(values: Iterable[tuple[str, bytes | None]]) -> list[str]:
    """Everything wrong with a partition's records, given with their places in offset order."""
    verifier = Verifier()
    return [sentence for place, value in values for sentence in verifier.take(place, value)]
