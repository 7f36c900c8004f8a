"""A worker's metrics, for Prometheus: what became of every record (law 7), positions, lag, and what had to be mended.

Counts come from the machines, whose state holds them; so they go on after a restart, and add up to the records read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from streams.durable.actor import PartitionActor


class WorkerMetrics:
    """Reads the actors when asked; `ends` are the log ends heard of last."""

    def __init__(self, group: str, actors: Mapping[int, PartitionActor], ends: Mapping[int, int]) -> None:
        self._group = group
        self._actors = actors
        self._ends = ends

    def collect(self) -> Iterable[Metric]:
        """See `prometheus_client`: one family a metric, labelled with group and partition."""
        labels = ["group", "partition"]
        outcomes = CounterMetricFamily(
            "quarterhour_outcomes", "Records by what became of them (law 7)", labels=[*labels, "outcome"]
        )
        position = GaugeMetricFamily("quarterhour_position", "Next input offset, all before it durable", labels=labels)
        lag = GaugeMetricFamily("quarterhour_lag", "Records between the position and the log's end", labels=labels)
        filled = CounterMetricFamily("quarterhour_gaps_filled", "Runs read by position, not delivered", labels=labels)
        batches = CounterMetricFamily(
            "quarterhour_batches", "Batches made durable, since the process began", labels=labels
        )
        records = CounterMetricFamily("quarterhour_batch_records", "Records in them, repeats included", labels=labels)
        for partition, actor in sorted(self._actors.items()):
            where = [self._group, str(partition)]
            for outcome, count in sorted(actor.outcome_counts().items()):
                outcomes.add_metric([*where, outcome], count)
            filled.add_metric(where, actor.gaps_filled)
            batches.add_metric(where, actor.batches)
            records.add_metric(where, actor.batch_records)
            if actor.position is not None:
                position.add_metric(where, actor.position)
                lag.add_metric(where, max(self._ends.get(partition, actor.position) - actor.position, 0))
        return (outcomes, position, lag, filled, batches, records)
