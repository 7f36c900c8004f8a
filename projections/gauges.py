"""The read side as metrics, read from ClickHouse when asked: freshness by topic (T6), watermarks heard of (U6), the
newest reconciliation (L6).

LOADER's own (`loader.metrics`) tell of lag and of every batch; these stay when LOADER is down.
"""

from __future__ import annotations

from collections.abc import Iterable

from clickhouse_connect.driver.client import Client
from prometheus_client.core import GaugeMetricFamily, Metric

from schemas.exposing import metrics_text

_FRESHNESS = """
SELECT topic, p50_ms / 1000, p99_ms / 1000, toFloat64(data_up_to), toFloat64(last_visible) FROM freshness ORDER BY topic
"""
_WATERMARKS = "SELECT origin_partition, max(toFloat64(now)) FROM watermarks GROUP BY origin_partition ORDER BY 1"
_NEWEST = "SELECT toFloat64(finished), seconds, differences FROM reconciliations ORDER BY finished DESC LIMIT 1"


def gauges(client: Client) -> list[Metric]:
    """All families; those of the reconciliation have no sample before the first one."""
    return [*_fresh(client), *_watermarks(client), *_reconciled(client)]


def render(client: Client) -> bytes:
    """The gauges as text for Prometheus."""
    return metrics_text(_Once(gauges(client)))


class _Once:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """See `prometheus_client`."""
        return self._families


def _fresh(client: Client) -> Iterable[Metric]:
    age = GaugeMetricFamily(
        "quarterhour_freshness_seconds",
        "From append to visible over the last hour of loading, by the oldest record of each batch (T6)",
        labels=["topic", "quantile"],
    )
    up_to = GaugeMetricFamily("quarterhour_data_up_to_seconds", "Newest append that can be seen", labels=["topic"])
    visible = GaugeMetricFamily("quarterhour_last_visible_seconds", "When it became visible", labels=["topic"])
    for topic, median, high, newest, last in client.query(_FRESHNESS).result_rows:
        age.add_metric([topic, "0.5"], median)
        age.add_metric([topic, "0.99"], high)
        up_to.add_metric([topic], newest)
        visible.add_metric([topic], last)
    return (age, up_to, visible)


def _watermarks(client: Client) -> Iterable[Metric]:
    """From METER through ACCOUNTS' inbox to here, so what holds up any of them is seen."""
    newest = GaugeMetricFamily(
        "quarterhour_watermark_seconds", "Newest instant METER told (U6), in seconds since 1970", labels=["partition"]
    )
    for partition, now in client.query(_WATERMARKS).result_rows:
        newest.add_metric([str(partition)], now)
    return (newest,)


def _reconciled(client: Client) -> Iterable[Metric]:
    differences = GaugeMetricFamily(
        "quarterhour_reconcile_differences", "Differences the newest reconciliation found (L6)", labels=["check"]
    )
    total = GaugeMetricFamily("quarterhour_reconcile_differences_sum", "All of them; 0 is what should be")
    finished = GaugeMetricFamily("quarterhour_reconcile_finished_seconds", "When it finished, in seconds since 1970")
    took = GaugeMetricFamily("quarterhour_reconcile_duration_seconds", "How long it took")
    for at, seconds, found in client.query(_NEWEST).result_rows:
        for check, count in sorted(found.items()):
            differences.add_metric([check], count)
        total.add_metric([], sum(found.values()))
        finished.add_metric([], at)
        took.add_metric([], seconds)
    return (differences, total, finished, took)
