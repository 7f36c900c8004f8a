"""Whether two databases hold the same (L5): counts and checksums per table, independent of the order of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from projections.loader import tables
from projections.loader.records import TopicPartition
from projections.loader.resume import limits_of
from projections.loader.tables import TABLES, Table
from schemas import topics

DERIVED = ("usage_daily", "billed_quarters", "account_flows")
"""Targets of materialized views: sums, compared as such."""

NEWEST_BY = {tables.ENTITLEMENTS.name: "workspace, app"}
"""Tables from compacted topics: what was replaced may be gone from the log, so the newest rows are compared."""

_TOPIC = {
    tables.INTERACTIONS: topics.INTERACTIONS, tables.REJECTED: topics.REJECTED, tables.LATE: topics.LATE,
    tables.UNIT_EVENTS: topics.INBOX, tables.WATERMARKS: topics.INBOX, tables.COMMANDS: topics.INBOX,
    tables.MAILS: topics.MAILS,
    tables.ALERTS: topics.ALERTS, tables.LEDGER_ENTRIES: topics.LEDGER, tables.LEDGER_LINES: topics.LEDGER,
    tables.LEDGER_CHARGES: topics.LEDGER, tables.LEDGER_PARTS: topics.LEDGER, tables.GRANTS: topics.LEDGER,
    tables.LEDGER_CHANGES: topics.LEDGER, tables.ENTITLEMENTS: topics.ENTITLEMENTS,
    tables.PAYMENT_REQUESTS: topics.PAYMENT_REQUESTS,
}  # fmt: skip
_COLUMNS = """
SELECT name, startsWith(type, 'Nullable') OR startsWith(type, 'Map') OR startsWith(type, 'LowCardinality(Nullable')
FROM system.columns WHERE database = currentDatabase() AND table = {table:String} ORDER BY name
"""
_BELOW = "kafka_offset < transform(kafka_partition, {partitions:Array(UInt64)}, {limits:Array(UInt64)}, toUInt64(0))"
_KEYS_AND_MEASURES = """
SELECT groupArrayIf(name, NOT startsWith(type, 'Simple')), groupArrayIf(name, startsWith(type, 'Simple'))
FROM system.columns WHERE database = currentDatabase() AND table = {table:String}
"""


@dataclass(frozen=True, slots=True)
class TableComparison:
    """One table in both databases: rows and checksum of what lies below the positions compared at."""

    table: str
    live: tuple[int, int]
    rebuilt: tuple[int, int]

    @property
    def is_same(self) -> bool:
        """Whether both hold the same rows."""
        return self.live == self.rebuilt

    def __str__(self) -> str:
        if self.is_same:
            return f"{self.table}: {self.live[0]:,} rows, the same"
        return f"{self.table}: {self.live[0]:,} rows live and {self.rebuilt[0]:,} rebuilt, different"


def names() -> list[str]:
    """All that is compared, in order."""
    return [table.name for table in TABLES] + list(DERIVED)


def compare(live: Client, rebuilt: Client, name: str, positions: Mapping[TopicPartition, int]) -> TableComparison:
    """Compare one table, as far as these positions; sums of materialized views as they are."""
    return TableComparison(name, _checksum(live, name, positions), _checksum(rebuilt, name, positions))


def _checksum(client: Client, name: str, positions: Mapping[TopicPartition, int]) -> tuple[int, int]:
    table = next((table for table in TABLES if table.name == name), None)
    query, limits = _of_sums(client, name) if table is None else _of_rows(client, table, positions)
    count, total = client.query(query, parameters=limits).first_row
    return int(count), int(total)


def _of_rows(client: Client, table: Table, positions: Mapping[TopicPartition, int]) -> tuple[str, dict[str, list[int]]]:
    topic = _TOPIC.get(table)
    below = {partition: offset for (name, partition), offset in positions.items() if name == topic}
    where = "" if topic is None else f" WHERE {_BELOW}"
    kinds = dict(client.query(_COLUMNS, parameters={"table": table.name}).result_rows)
    columns = ", ".join(_shown(column) if kinds.get(column) else f"`{column}`" for column in table.columns)
    query = f"SELECT count(), sum(sipHash64({columns})) FROM {table.name}{where}"  # noqa: S608 - names of ours
    if key := NEWEST_BY.get(table.name):
        newest = f"SELECT argMax(sipHash64({columns}), kafka_offset) AS hash FROM {table.name}{where} GROUP BY {key}"  # noqa: S608
        query = f"SELECT count(), sum(hash) FROM ({newest})"  # noqa: S608 - names of ours
    return query, {} if topic is None else limits_of(below)


def _of_sums(client: Client, name: str) -> tuple[str, dict[str, list[int]]]:
    """Rows of sums merge when ClickHouse likes, so they are summed up first; a zero is no row."""
    keys, measures = client.query(_KEYS_AND_MEASURES, parameters={"table": name}).first_row
    sums = ", ".join(f"sum({name}.{measure}) AS s{index}" for index, measure in enumerate(measures))
    some = " OR ".join(f"s{index} != 0" for index in range(len(measures)))
    inner = f"SELECT {', '.join(keys)}, {sums} FROM {name} GROUP BY {', '.join(keys)} HAVING {some}"  # noqa: S608 - ours
    return f"SELECT count(), sum(sipHash64(*)) FROM ({inner})", {}  # noqa: S608 - names of ours


def _shown(column: str) -> str:
    """A hash of NULL would be NULL, and a Map has none: as text."""
    return f"ifNull(toString(`{column}`), 'NULL')"
