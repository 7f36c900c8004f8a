"""LOADER's metrics, for Prometheus: what was loaded, how far it is behind, and append to visible as a histogram (T6).

The age of a batch's records is told by the oldest of each slice, so it is never better than it was. Counts begin with
the process; positions and lag come from what is durable. A wall clock is right here: it is about us.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from projections.loader.records import Appends, TopicPartition

BUCKETS_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)

Offsets = Callable[[], Mapping[TopicPartition, int]]


class LoadMetrics:
    """Counts of one LOADER. `positions` and `ends` are asked for when somebody asks for the metrics."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.positions: Offsets = dict
        self.ends: Offsets = dict
        self._now = now
        self._lock = threading.Lock()
        self._records: Counter[str] = Counter()
        self._repeats: Counter[str] = Counter()
        self._ages: dict[str, Counter[float]] = {}
        self._seconds: Counter[str] = Counter()
        self._visible_at = 0.0

    def visible(self, appends: Mapping[TopicPartition, Appends], repeats: Mapping[TopicPartition, int]) -> None:
        """A batch can be seen from now on: which records it had, and how many of them were repeats (law 3)."""
        now = self._now()
        with self._lock:
            self._visible_at = now
            for place, seen in appends.items():
                age = max(now - seen.oldest_ms / 1000, 0.0)
                self._records[place.topic] += seen.records
                self._seconds[place.topic] += age * seen.records  # type: ignore[assignment]
                self._ages.setdefault(place.topic, Counter())[_bucket(age)] += seen.records
            for place, count in repeats.items():
                self._repeats[place.topic] += count

    def collect(self) -> Iterable[Metric]:
        """See `prometheus_client`: one family a metric."""
        with self._lock:
            yield from self._loaded()
        yield from self._behind()

    def _loaded(self) -> Iterable[Metric]:
        records = CounterMetricFamily("quarterhour_loaded_records", "Records in ClickHouse", labels=["topic"])
        repeats = CounterMetricFamily("quarterhour_loaded_repeats", "Records dropped as repeats", labels=["topic"])
        visible = HistogramMetricFamily(
            "quarterhour_visible_seconds", "From a record's append to its being visible (T6)", labels=["topic"]
        )
        for topic, ages in sorted(self._ages.items()):
            records.add_metric([topic], self._records[topic])
            repeats.add_metric([topic], self._repeats[topic])
            below, buckets = 0, []
            for bound in (*BUCKETS_SECONDS, float("inf")):
                below += ages[bound]
                buckets.append(("+Inf" if bound == float("inf") else str(bound), below))
            visible.add_metric([topic], buckets, self._seconds[topic])
        at = GaugeMetricFamily("quarterhour_visible_timestamp_seconds", "When the newest batch became visible")
        at.add_metric([], self._visible_at)
        return (records, repeats, visible, at)

    def _behind(self) -> Iterable[Metric]:
        labels = ["topic", "partition"]
        position = GaugeMetricFamily("quarterhour_load_position", "Next offset, all before it visible", labels=labels)
        lag = GaugeMetricFamily("quarterhour_load_lag", "Records between the position and the log's end", labels=labels)
        ends = self.ends()
        for place, offset in sorted(self.positions().items()):
            where = [place.topic, str(place.partition)]
            position.add_metric(where, offset)
            lag.add_metric(where, max(ends.get(place, offset) - offset, 0))
        return (position, lag)


def _bucket(age_seconds: float) -> float:
    return next((bound for bound in BUCKETS_SECONDS if age_seconds <= bound), float("inf"))
