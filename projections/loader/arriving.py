"""The last step of a trace: a sampled record of any loaded topic can be seen in ClickHouse.

Leaves to others: how the context came into the record's headers (`schemas.traces`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final, NamedTuple

from projections.loader.records import Record
from schemas import traces
from schemas.traces import TraceContext
from schemas.tracing import Tracer, place

MOST_A_BATCH: Final = 1_000
"""So many sampled records of a batch are told of."""


class Arriving(NamedTuple):
    """A sampled record in a batch that is being written."""

    topic: str
    partition: int
    offset: int
    parent: TraceContext
    began_ns: int


class Arrivals:
    """`taken` when a batch is made, `visible` once it is in ClickHouse."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def taken(self, records: Iterable[Record]) -> list[Arriving]:
        """The sampled ones among the records."""
        now_ns = time.time_ns()
        with_headers = [record for record in records if record.headers]
        found = [
            Arriving(record.topic, record.partition, record.offset, parent, now_ns)
            for record in with_headers
            if (parent := traces.of_headers(record.headers))
        ]
        return found[:MOST_A_BATCH]

    def visible(self, arriving: Iterable[Arriving]) -> None:
        """Tell their spans."""
        now_ns = time.time_ns()
        for topic, partition, offset, parent, began_ns in arriving:
            own = parent.step(topic, partition, offset, self._tracer.process)
            name = f"{self._tracer.process} {topic}"
            self._tracer.span(name, own, parent, began_ns, now_ns, place(topic, partition, offset))
