"""The lanes of a rebuild: which partitions are loaded together, in one order, with one journal.

Law it keeps: a partition's lane is durable before anything of it is loaded and never changes. So whoever goes on with
a rebuild finds each lane's newest batch with exactly its boundaries and tokens, whichever process had it in hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clickhouse_connect.driver.client import Client

from projections.loader.journal import Lane
from projections.loader.records import TopicPartition
from projections.sql import read_sql
from schemas.errors import QuarterhourError
from schemas.topics import LEDGER

LANES = 2
"""ClickHouse needs about as much of the processor as one reader; a rebuild runs beside the live stack."""
_LEDGER_WEIGHT = 3
"""A record of the ledger makes five rows, and costs about three of the others."""


class LanesUnknown(QuarterhourError):
    """The database holds rows of a rebuild that did not write down its lanes."""


def lanes_of(client: Client, places: Sequence[TopicPartition], ends: Mapping[TopicPartition, int]) -> list[Lane]:
    """All lanes, with the given partitions; those that have none yet get one, so that lanes have about the same work.

    Raises LanesUnknown where something was loaded before lanes were.
    """
    client.command(read_sql("rebuild/lanes.sql"))
    for number in range(LANES):
        for table in ("loaders", "load_batches"):
            client.command(f"CREATE TABLE IF NOT EXISTS {table}_lane_{number} AS {table}")
    known = {
        TopicPartition(topic, partition): lane
        for topic, partition, lane in client.query("SELECT topic, partition, lane FROM rebuild_lanes").result_rows
    }
    if not known and client.query("SELECT count() FROM load_positions").first_row[0]:
        raise LanesUnknown(f"{client.database} was begun by an earlier version: drop it and begin anew (--fresh)")
    shared = known | _shared([place for place in places if place not in known], known, ends)
    if len(shared) > len(known):
        rows = [[*place, lane] for place, lane in shared.items() if place not in known]
        client.insert("rebuild_lanes", rows, column_names=["topic", "partition", "lane"])
    return [Lane(number, frozenset(place for place in shared if shared[place] == number)) for number in range(LANES)]


def _shared(
    places: Sequence[TopicPartition], known: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """The largest first, each to the lane that has the least to do."""
    weights = {place: ends.get(place, 0) * (_LEDGER_WEIGHT if place.topic == LEDGER else 1) for place in places}
    work = [sum(ends.get(place, 0) for place in known if known[place] == number) for number in range(LANES)]
    found: dict[TopicPartition, int] = {}
    for place in sorted(places, key=lambda place: (-weights[place], place)):
        found[place] = work.index(min(work))
        work[found[place]] += weights[place]
    return found
