"""MAILER's metrics, for Prometheus. Counts are of this process; the whole history is in the topic `mails`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from schemas.instants import MICROS_PER_SECOND
from streams.mailer.desk import Desk

Desks = Callable[[], Mapping[int, Desk]]


class MailerMetrics:
    """Reads the desks when asked; `gone` holds the counts of partitions that have moved on."""

    def __init__(self, desks: Desks, gone: Counter[str], clock: Callable[[], int]) -> None:
        self._desks, self._gone, self._clock = desks, gone, clock

    def collect(self) -> Iterable[Metric]:
        """See `prometheus_client`."""
        desks = self._desks()
        counts = Counter(self._gone)
        for desk in desks.values():
            counts.update(dict(desk.counts))
        mails = CounterMetricFamily("quarterhour_mails", "Deliveries sent, attempts retried, dead", labels=["outcome"])
        for outcome in ("sent", "retried", "dead"):
            mails.add_metric([outcome], counts.pop(outcome, 0))
        records = CounterMetricFamily(
            "quarterhour_mailer_records", "Records read, by what became of them", labels=["topic", "outcome"]
        )
        for name, count in sorted(counts.items()):
            topic, _, outcome = name.partition(": ")
            records.add_metric([topic, outcome], count)
        waiting = [delivery for desk in desks.values() for delivery in desk.waiting()]
        unsent = GaugeMetricFamily("quarterhour_mails_unsent", "Deliveries that wait", value=len(waiting))
        oldest_us = min((delivery.planned_us for delivery in waiting), default=None)
        age = 0.0 if oldest_us is None else max(self._clock() - oldest_us, 0) / MICROS_PER_SECOND
        oldest = GaugeMetricFamily("quarterhour_mails_oldest_unsent_seconds", "Age of the oldest of them", value=age)
        return (mails, records, unsent, oldest)
