"""A backup's folder: `manifest.json`, and for each partition `TOPIC-PARTITION.jsonl.gz` with one record a line.

A line is `{"offset", "timestamp_ms", "key", "value", "headers"}`, bytes in base64, null where there is nothing. The
manifest is written last, so a folder without one is no backup; it holds each file's SHA-256, so what was damaged is
refused.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from schemas import topics
from schemas.errors import QuarterhourError

VERSION = 1
MANIFEST = "manifest.json"

ORDER = (
    topics.MAILER_CHANGELOG, topics.ACCOUNTS_CHANGELOG, topics.METER_CHANGELOG,
    topics.MAILS, topics.DEAD_MAILS, topics.MAIL_RETRIES,
    topics.ALERTS, topics.ENTITLEMENTS, topics.PAYMENT_REQUESTS, topics.LEDGER,
    topics.REJECTED, topics.LATE, topics.INBOX,
    topics.INTERACTIONS, topics.GATEWAY_KEYS, topics.WEBHOOKS,
)  # fmt: skip
"""The topics of a backup in the order they are read while the pipeline runs: state first, then each output before its
input. So a state finds its outputs and inputs in the backup (law 1), and no output names an input that is not there."""

LEFT_OUT = (topics.REPLIES, topics.CLOCK_LEASE)
"""Nothing rests on them."""

OFFSETS_FREE = (
    topics.MAILER_CHANGELOG, topics.ACCOUNTS_CHANGELOG, topics.METER_CHANGELOG, topics.GATEWAY_KEYS, topics.WEBHOOKS,
)  # fmt: skip
"""Compacted topics that nobody names an offset of: their records move together when restored."""


class BackupFault(QuarterhourError):
    """A backup or a restore cannot be done; the message says why and what to do."""


class Saved(Struct, frozen=True):
    """One record."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class SavedPartition(Struct, frozen=True):
    """One file: how many records, the offset after the last one (which may lie beyond it), and the file's digest."""

    topic: str
    partition: int
    records: int
    end: int
    sha256: str

    @property
    def file(self) -> str:
        """Its name in the folder."""
        return f"{self.topic}-{self.partition}.jsonl.gz"


class Manifest(Struct, frozen=True):
    """What a backup holds. `at` is when it was begun, UTC."""

    version: int
    at: str
    interaction_partitions: int
    account_partitions: int
    partitions: tuple[SavedPartition, ...]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Make the folder a backup."""
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    (folder / MANIFEST).write_bytes(content + b"\n")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a whole, undamaged backup; raises BackupFault."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise BackupFault(f"{folder} holds no {MANIFEST}: it is no backup, or one that was cut off") from None
    except msgspec.MsgspecError as error:
        raise BackupFault(f"{folder / MANIFEST} cannot be read: {error}") from None
    if manifest.version != VERSION:
        raise BackupFault(f"{folder} is a backup of format {manifest.version}, this version reads {VERSION}")
    for saved in manifest.partitions:
        if digest_of(folder / saved.file) != saved.sha256:
            raise BackupFault(f"{folder / saved.file} is damaged or missing: take another backup")
    return manifest


def read_records(folder: Path, saved: SavedPartition) -> Iterator[Saved]:
    """The records of one partition, by offset."""
    decode = msgspec.json.Decoder(Saved).decode
    with gzip.open(folder / saved.file, "rb") as lines:
        for line in lines:
            yield decode(line)


def digest_of(file: Path) -> str:
    """The file's SHA-256; empty when it is not there."""
    if not file.is_file():
        return ""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
