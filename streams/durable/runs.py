"""A fetch's records made as the machines take them, handed over a run at a time: an aiokafka consumer's fast way out.

aiokafka makes an object of its own for each record, for us to copy from; that cost more than all of the fetch besides.
Order, positions, aborted transactions, markers and checksums stay aiokafka's. Touches private parts of 0.14.0, hence
the exact version.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import aiokafka.conn
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords

from streams.durable.machine import RawRecord

aiokafka.conn.READER_LIMIT = 4 * 1024 * 1024
"""At aiokafka's 64 KiB a connection stops and starts reading some thirty times a fetch, three system calls each."""
RUN_RECORDS = 2_000
"""With the 64 runs that may wait in Faust this bounds a worker's memory."""
RUNS_A_TIME = 4
"""So many runs are asked for in one call: most often all that a fetch brought of a partition."""


class _Runs(PartitionRecords):  # type: ignore[misc]  # aiokafka ships no types we can subclass strictly
    """What a fetch brought of one partition; iterating gives runs of records."""

    def __init__(self, fetched: PartitionRecords) -> None:
        self.__dict__.update(vars(fetched))
        self._records_iterator = self._unpack_records()

    def __next__(self) -> list[RawRecord]:
        run = list(islice(self._records_iterator, RUN_RECORDS))
        if not run:
            raise StopIteration
        return run

    def _consumer_record(self, _: Any, record: Any) -> RawRecord:
        return RawRecord(record.offset, record.timestamp, record.key, record.value, record.headers or ())


class _RunFetcher(Fetcher):  # type: ignore[misc]
    """Takes over what a fetch brought before anybody sees it: nothing is awaited in between."""

    async def _proc_fetch_request(self, assignment: Any, node_id: Any, request: Any) -> bool:
        found = await super()._proc_fetch_request(assignment, node_id, request)
        for fetched in self._records.values():
            if isinstance(fetched, FetchResult) and type(fetched._partition_records) is PartitionRecords:
                fetched._partition_records = _Runs(fetched._partition_records)
        return bool(found)


def give_runs(consumer: Any) -> None:
    """Make a started consumer, which has fetched nothing yet, give `list[RawRecord]` where it gave records."""
    consumer._fetcher.__class__ = _RunFetcher
