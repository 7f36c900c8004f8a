"""The standing check of loading: no table holds a record twice (L3), by place in Kafka and by origin (law 3)."""

from __future__ import annotations

from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from projections.loader.marks import TOPIC_OF_TABLE
from projections.loader.tables import TABLES, Table


@dataclass(frozen=True, slots=True)
class RowCount:
    """A table's rows, and how many different records they are by their place in Kafka and by their origin."""

    table: str
    rows: int
    places: int
    origins: int

    @property
    def is_loaded_once(self) -> bool:
        """Whether every row is another record."""
        return self.rows == self.places == self.origins


def row_counts(client: Client) -> list[RowCount]:
    """The counts of every loaded table, in the order of loading."""
    found = []
    for table in TABLES:
        places = ", ".join(table.identity)
        # One origin may say the same to several partitions, e.g. a watermark to all of them.
        origins = _ORIGIN if table.name in TOPIC_OF_TABLE else ""
        rows, by_place = _counted(client, table, places)
        by_origin = by_place
        if origins:  # of the rows as they are by then: more may have come, which are no repeats
            rows_then, by_origin_then = _counted(client, table, origins)
            by_origin = rows - (rows_then - by_origin_then)
        found.append(RowCount(table.name, rows, by_place, by_origin))
    return found


def _counted(client: Client, table: Table, identity: str) -> tuple[int, int]:
    """Rows, and different ones, of one moment."""
    rows, different = client.query(_query(table, identity), settings=_BOUNDED).first_row
    return rows or 0, different


_ORIGIN = "kafka_partition, origin_topic, origin_partition, origin_offset, origin_index"
# What does not fit is grouped on disk.
_BOUNDED = {"max_bytes_before_external_group_by": 500_000_000}


def _query(table: Table, identity: str) -> str:
    return f"SELECT sum(n), count() FROM (SELECT count() AS n FROM {table.name} GROUP BY {identity})"  # noqa: S608 - ours
