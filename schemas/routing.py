"""Which partition a key belongs to: Kafka's own default (murmur2 of the key), spelled out.

Law it keeps: all events of one conversation meet in one partition, whoever published them. METER checks each new
key with `partition_of` and re-routes a record that a publisher with another partitioner put elsewhere.
"""

from __future__ import annotations

import struct

SEPARATOR = "/"


def interaction_key(workspace: str, app: str, channel: str, user: str) -> str:
    """The record key of an interaction (rule U3): `workspace/app/channel/user`.

    The first three cannot hold a slash, so the text is unambiguous whatever the user id holds.
    """
    return f"{workspace}{SEPARATOR}{app}{SEPARATOR}{channel}{SEPARATOR}{user}"


def murmur2(data: bytes) -> int:
    """Unsigned 32-bit murmur2 as Kafka's Java client computes it (seed 0x9747b28c)."""
    length = len(data)
    m = 0x5BD1E995
    mask = 0xFFFFFFFF
    h = (0x9747B28C ^ length) & mask
    whole = length & ~3
    for k in struct.unpack(f"<{whole // 4}I", data[:whole]):
        k = (k * m) & mask
        h = ((h * m) ^ ((k ^ (k >> 24)) * m)) & mask
    rest = data[whole:]
    if rest:
        h ^= int.from_bytes(rest, "little")
        h = (h * m) & mask
    h ^= h >> 13
    h = (h * m) & mask
    return h ^ (h >> 15)


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key among `partitions`, as Kafka's Java client and aiokafka choose it."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
