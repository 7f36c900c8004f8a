"""LOADER's part of a trace: sampled records of any topic, told once they are visible."""

from __future__ import annotations

from typing import Any

from projections.loader.arriving import MOST_A_BATCH, Arrivals
from projections.loader.records import Record
from schemas.traces import TraceContext
from schemas.tracing import Tracer

GIVEN = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
UNSAMPLED = ("traceparent", GIVEN.text[:-1].encode() + b"0")


class Told(Tracer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.process = "loader"
        self.spans: list[tuple[str, TraceContext, TraceContext | None]] = []

    def span(self, name: str, own: TraceContext, parent: TraceContext | None, *rest: Any) -> None:
        began_ns, ended_ns, _ = rest
        assert began_ns <= ended_ns
        self.spans.append((name, own, parent))


def test_each_sampled_record_of_a_batch_is_told_once_it_is_visible_and_no_other() -> None:
    arrivals = Arrivals(tracer := Told())
    headers: list[list[tuple[str, bytes]]] = [[], [GIVEN.header], [UNSAMPLED], [("other", b"x"), GIVEN.header]]
    taken = arrivals.taken(Record("ledger", 2, n, 0, b"{}", held) for n, held in enumerate(headers))
    assert tracer.spans == []
    arrivals.visible(taken)
    owns = [GIVEN.step("ledger", 2, offset, "loader") for offset in (1, 3)]
    assert tracer.spans == [("loader ledger", own, GIVEN) for own in owns]


def test_of_a_batch_that_is_sampled_whole_only_so_many_are_told() -> None:
    arrivals = Arrivals(Told())
    taken = arrivals.taken(Record("ledger", 0, n, 0, b"{}", [GIVEN.header]) for n in range(MOST_A_BATCH + 9))
    assert len(taken) == MOST_A_BATCH
