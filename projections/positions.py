"""How far LOADER has come."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

_NEWEST = "SELECT topic, partition, max(next_offset) FROM load_positions GROUP BY topic, partition"


def loaded_offsets(client: Client) -> dict[tuple[str, int], int]:
    """The next offset to load of every (topic, partition) loaded so far: all below it are in the tables."""
    return {(topic, partition): offset for topic, partition, offset in client.query(_NEWEST).result_rows}
