"""Repeats by origin (law 3): what a restarted or superseded worker produced again is loaded once.

Per table, per partition it is read from, and per origin partition, the highest (offset, index) loaded; what is not
above is a repeat. The marks at a position are a function of the rows below it: a reloaded batch drops the same repeats.
"""

from __future__ import annotations

from collections.abc import Mapping

from clickhouse_connect.driver.client import Client

from projections.loader.records import TopicPartition
from projections.loader.resume import limits_of
from schemas import topics
from schemas.units import Origin

TOPIC_OF_TABLE = {
    "rejected": topics.REJECTED,
    "late": topics.LATE,
    "unit_events": topics.INBOX,
    "watermarks": topics.INBOX,
    "ledger_entries": topics.LEDGER,
    "alerts": topics.ALERTS,
    "entitlements": topics.ENTITLEMENTS,
    "payment_requests": topics.PAYMENT_REQUESTS,
}
"""Tables whose records name their origin, and the topic they come from."""

_MARKS = """
SELECT kafka_partition, origin_topic, origin_partition, max((origin_offset, origin_index))
FROM {table:Identifier}
WHERE kafka_offset < transform(kafka_partition, {partitions:Array(UInt64)}, {limits:Array(UInt64)}, toUInt64(0))
GROUP BY kafka_partition, origin_topic, origin_partition
"""


class Marks:
    """The highest origins loaded."""

    def __init__(self) -> None:
        self._highest: dict[tuple[str, int, str, int], tuple[int, int]] = {}

    def is_repeat(self, table: str, partition: int, origin: Origin) -> bool:
        """Whether this origin is loaded already; if not, it is the highest from now on."""
        key = (table, partition, origin.topic, origin.partition)
        place = (origin.offset, origin.index)
        highest = self._highest.get(key)
        if highest is not None and place <= highest:
            return True
        self._highest[key] = place
        return False

    def copy(self) -> Marks:
        """The marks as they are now."""
        copied = Marks()
        copied._highest = dict(self._highest)
        return copied

    def restore(self, copied: Marks) -> None:
        """Be again as when that copy was made."""
        self._highest = dict(copied._highest)

    @classmethod
    def read(cls, client: Client, positions: Mapping[TopicPartition, int]) -> Marks:
        """The marks at these positions; rows beyond them (of a batch cut short) do not count."""
        marks = cls()
        for table, topic in TOPIC_OF_TABLE.items():
            below = {partition: offset for (name, partition), offset in positions.items() if name == topic}
            found = client.query(_MARKS, parameters={"table": table, **limits_of(below)})
            for partition, origin_topic, origin_partition, place in found.result_rows:
                marks._highest[(table, partition, origin_topic, origin_partition)] = (place[0], place[1])
        return marks
