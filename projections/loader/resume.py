"""Where to go on after a start: from ClickHouse alone (law 8).

The positions are what `load_positions` says, and never less than what the tables hold: if rows of that table are lost,
no record is loaded twice for it. Rows of the newest batch do not count, because it may have been cut short.
"""

from __future__ import annotations

from collections.abc import Mapping

from clickhouse_connect.driver.client import Client

from projections.loader import tables
from projections.loader.journal import Batch
from projections.loader.records import TopicPartition
from projections.positions import loaded_offsets
from schemas import topics

_NO_LIMIT = (1 << 64) - 1
_TABLES_OF_TOPIC = {
    topics.INTERACTIONS: (tables.INTERACTIONS,),
    topics.REJECTED: (tables.REJECTED,),
    topics.LATE: (tables.LATE,),
    topics.INBOX: (tables.UNIT_EVENTS, tables.WATERMARKS, tables.COMMANDS),
    topics.LEDGER: (tables.LEDGER_ENTRIES,),
    topics.ALERTS: (tables.ALERTS,),
    topics.ENTITLEMENTS: (tables.ENTITLEMENTS,),
    topics.PAYMENT_REQUESTS: (tables.PAYMENT_REQUESTS,),
    topics.MAILS: (tables.MAILS,),
}
_HIGHEST = """
SELECT kafka_partition, max(kafka_offset) + 1
FROM {table:Identifier}
WHERE kafka_offset < transform(kafka_partition, {partitions:Array(UInt64)}, {limits:Array(UInt64)}, {no_limit:UInt64})
GROUP BY kafka_partition
"""


def resume_positions(client: Client, newest: Batch | None) -> dict[TopicPartition, int]:
    """The next offset of every partition, leaving the newest batch out of account unless its position is there."""
    positions = {TopicPartition(*place): offset for place, offset in loaded_offsets(client).items()}
    for topic, loaded in _TABLES_OF_TOPIC.items():
        pieces = [piece for piece in newest.slices if piece.topic == topic] if newest else []
        limits = limits_of({piece.partition: piece.first for piece in pieces})
        for table in loaded:
            parameters = {"table": table.name, "no_limit": _NO_LIMIT, **limits}
            for partition, offset in client.query(_HIGHEST, parameters=parameters).result_rows:
                place = TopicPartition(topic, partition)
                positions[place] = max(positions.get(place, 0), offset)
    return positions


def is_unfinished(batch: Batch, positions: dict[TopicPartition, int]) -> bool:
    """Whether a slice of the batch lies beyond its partition's position."""
    return any(piece.next > positions.get(TopicPartition(piece.topic, piece.partition), 0) for piece in batch.slices)


def limits_of(offsets: Mapping[int, int]) -> dict[str, list[int]]:
    """Offsets by partition as two arrays of a query's parameters, never empty."""
    return {"partitions": [*offsets, _NO_LIMIT], "limits": [*offsets.values(), 0]}
