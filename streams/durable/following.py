"""Following sampled records through a partition's machine: what each led to carries its trace, as a header.

Outside of the machine and of all durable state: a sampled record is stepped by itself, so that its outputs are known
as its own, which law 2 allows because a batch may be cut anywhere. Values, keys and order are the same without it. A
record that is not sampled costs one look at its headers, and nothing at all where traces are off.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from schemas import traces
from schemas.traces import TraceContext
from schemas.tracing import Tracer, place
from streams.durable.machine import Output, PartitionMachine, RawRecord

MOST_A_BATCH: Final = 100
"""So many sampled records of a batch are followed; whoever samples everything is slowed no further."""


class _Span(NamedTuple):
    offset: int
    own: TraceContext
    parent: TraceContext
    began_ns: int
    outputs: int


class Following:
    """The sampled records of one input partition."""

    def __init__(self, tracer: Tracer, topic: str, partition: int) -> None:
        self._tracer = tracer
        self._topic = topic
        self._partition = partition
        self._open: deque[_Span] = deque()

    def step(self, machine: PartitionMachine, batch: Sequence[RawRecord]) -> list[Output]:
        """`machine.step` over the batch; outputs of sampled records carry the step's own context."""
        with_headers = [index for index, record in enumerate(batch) if record.headers]
        sampled = [(index, found) for index in with_headers if (found := traces.of_headers(batch[index].headers))]
        outputs: list[Output] = []
        done = 0
        for index, parent in sampled[:MOST_A_BATCH]:
            if done < index:
                outputs += machine.step(batch[done:index])
            outputs += self._follow(machine, batch[index], parent)
            done = index + 1
        if done < len(batch):
            outputs += machine.step(batch[done:])
        return outputs

    def _follow(self, machine: PartitionMachine, record: RawRecord, parent: TraceContext) -> list[Output]:
        began_ns = time.time_ns()
        own = parent.step(self._topic, self._partition, record.offset, self._tracer.process)
        with traces.current(own):
            found = machine.step([record])
        self._open.append(_Span(record.offset, own, parent, began_ns, len(found)))
        return [msgspec.structs.replace(output, headers=(*output.headers, own.header)) for output in found]

    def landed(self, position: int) -> None:
        """Everything before `position` is durable: the spans of its records are over."""
        while self._open and self._open[0].offset < position:
            span = self._open.popleft()
            attributes = {**place(self._topic, self._partition, span.offset), "quarterhour.outputs": span.outputs}
            name = f"{self._tracer.process} {self._topic}"
            self._tracer.span(name, span.own, span.parent, span.began_ns, time.time_ns(), attributes)
