"""Inserts of one batch into the tables, with tokens; patient while ClickHouse is away."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.exceptions import Error as ClickHouseError

from projections.loader import tables
from projections.loader.blocks import Columns, Rows
from projections.loader.journal import Batch, Journal, LoaderFault
from projections.loader.native import column_type

_log = logging.getLogger(__name__)
_CODE = re.compile(r"code: (\d+)", re.IGNORECASE)
_ADDRESS = re.compile(r"with url: \S+ ")
# Unknown column, table, database, setting, function; syntax; wrong password: waiting mends none of these.
_PERMANENT = {"16", "46", "47", "60", "62", "81", "115", "192", "193", "194", "497", "516"}
_WRITERS = 8
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_TYPES = "SELECT table, name, type FROM system.columns WHERE database = currentDatabase()"
_INSERT: dict[str, Any] = {
    # The guarantee, spelled out: tokens count, views' targets keep them too, and an acknowledged row is a stored row.
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    # A batch may hold units of any number of years.
    "max_partitions_per_insert_block": 0,
}


class Store:
    """Writes batches. `patience_seconds`: how long one step is tried again while ClickHouse does not take it."""

    def __init__(self, client: Client, journal: Journal, patience_seconds: float = 300.0) -> None:
        self._client = client
        self._journal = journal
        self._patience_seconds = patience_seconds
        # Tables do not depend on one another, so their inserts run side by side.
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="insert")
        self._types = {(table, name): column_type(type_) for table, name, type_ in client.query(_TYPES).result_rows}

    def write(self, batch: Batch, rows: Rows) -> None:
        """Boundaries, data, positions, each acknowledged before the next; tables side by side. Blocking; one batch at a
        time."""
        self._persist("load_batches", partial(self._journal.begin, batch))
        self.finish(batch, rows)

    def finish(self, batch: Batch, rows: Rows) -> None:
        """Data and positions of a batch whose boundaries are durable."""
        filled = [(table, columns) for table in tables.TABLES if (columns := rows.columns.get(table.name))]
        self._side_by_side([(table.name, partial(self.insert, batch, table, columns)) for table, columns in filled])
        self._side_by_side(
            [
                ("load_positions", partial(self._journal.finish, batch, rows.repeats)),
                ("load_visible", partial(self._journal.tell_visible, batch, rows.appends)),
            ]
        )

    def _side_by_side(self, steps: Sequence[tuple[str, Callable[[], None]]]) -> None:
        """All have ended before the fault of one is told: nothing of this batch may still be on its way then."""
        waiting = [self._writers.submit(self._persist, what, step) for what, step in steps]
        wait(waiting)
        for written in waiting:
            written.result()

    def insert(self, batch: Batch, table: tables.Table, columns: Columns) -> None:
        """One table's rows of a batch; inserted again they are dropped by their token, or what lacks is added.

        As one block, whatever its size: ClickHouse makes a block's token of the insert's and of how the rows were cut,
        and whoever finishes a batch has them in another order, which the client would cut elsewhere.
        """
        context = self._client.create_insert_context(
            table.name,
            table.columns,
            column_types=[self._types[table.name, column] for column in table.columns],
            column_oriented=True,
            settings={**_INSERT, "insert_deduplication_token": f"{batch.token}-{table.name}"},
        )
        context.req_block_size = len(columns[0])
        self._client.insert(table.name, columns, column_names=table.columns, context=context)

    def _persist(self, what: str, step: Callable[[], None]) -> None:
        started = time.monotonic()
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return step()
            except (ClickHouseError, OSError) as error:
                waited = time.monotonic() - started
                cause = _cause(error)
                if _is_permanent(error) or waited + pause > self._patience_seconds:
                    raise LoaderFault(f"{what}: ClickHouse took no rows for {waited:.0f} s: {cause}") from error
                _log.warning("%s: ClickHouse takes no rows, next try in %.1f s: %s", what, pause, cause)
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _cause(error: Exception) -> str:
    """The first line of an error, without the address and its settings."""
    lines = _ADDRESS.sub("", str(error)).splitlines()
    return lines[0] if lines else type(error).__name__


def _is_permanent(error: Exception) -> bool:
    code = _CODE.search(str(error)) if isinstance(error, DatabaseError) else None
    return code is not None and code[1] in _PERMANENT
