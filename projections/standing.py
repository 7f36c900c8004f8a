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
    return [RowCount(table.name, *client.query(_query(table)).first_row) for table in TABLES]


def _query(table: Table) -> str:
    places = ", ".join(table.identity)
    origins = places
    if table.name in TOPIC_OF_TABLE:
        # One origin may say the same to several partitions, e.g. a watermark to all of them.
        origins = "kafka_partition, origin_topic, origin_partition, origin_offset, origin_index"
    return f"SELECT count(), uniqExact({places}), uniqExact({origins}) FROM {table.name}"  # noqa: S608 - names of ours
