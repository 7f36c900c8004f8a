"""LOADER's metrics say what was loaded, how old it was, and how far it is behind (T6)."""

from __future__ import annotations

import re

from clickhouse_connect.driver.client import Client
from prometheus_client.parser import text_string_to_metric_families

from projections.gauges import render
from projections.loader.loading import Loader
from projections.loader.metrics import LoadMetrics
from projections.loader.records import Appends, TopicPartition
from projections.reconcile import Reconciliation, record
from schemas import topics
from schemas.exposing import metrics_text
from tests.projections.loading import load_all
from tests.projections.small_world import small_world

LEDGER = TopicPartition(topics.LEDGER, 0)


def scraped(metrics: LoadMetrics) -> dict[tuple[str, str, str], float]:
    """What Prometheus would read: (name, topic, `le`) to value."""
    text = metrics_text(metrics).decode()
    return {
        (sample.name, sample.labels.get("topic", ""), sample.labels.get("le", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_batch_counts_by_the_age_of_its_oldest_record() -> None:
    metrics = LoadMetrics(now=lambda: 1_000.3)
    metrics.visible({LEDGER: Appends(3, 1_000_000, 1_000_200)}, {LEDGER: 1})
    metrics.visible({LEDGER: Appends(1, 990_000, 990_000)}, {})
    found = scraped(metrics)
    assert found["quarterhour_loaded_records_total", topics.LEDGER, ""] == 4
    assert found["quarterhour_loaded_repeats_total", topics.LEDGER, ""] == 1
    counts = {
        le: found["quarterhour_visible_seconds_bucket", topics.LEDGER, le] for le in ("0.25", "0.5", "10.0", "+Inf")
    }
    assert counts == {"0.25": 0, "0.5": 3, "10.0": 3, "+Inf": 4}
    assert abs(found["quarterhour_visible_seconds_sum", topics.LEDGER, ""] - (3 * 0.3 + 10.3)) < 1e-6


async def test_freshness_and_the_newest_reconciliation_are_read_from_the_tables(client: Client) -> None:
    await load_all(client, small_world().log)
    text = render(client).decode()
    assert f'quarterhour_freshness_seconds{{quantile="0.99",topic="{topics.LEDGER}"}}' in text
    assert "\nquarterhour_reconcile_differences_sum " not in text
    newest = client.query("SELECT origin_partition, max(toFloat64(now)) FROM watermarks GROUP BY 1").result_rows
    told = re.findall(r'^quarterhour_watermark_seconds\{partition="(\d+)"\} (.+)$', text, re.MULTILINE)
    assert {int(partition): float(at) for partition, at in told} == dict(newest) != {}
    record(client, Reconciliation(10, {"charges": 2, "units": 1}, ()), 1.5)
    text = render(client).decode()
    assert "quarterhour_reconcile_differences_sum 3.0" in text
    assert 'quarterhour_reconcile_differences{check="charges"} 2.0' in text
    assert "quarterhour_reconcile_duration_seconds 1.5" in text


async def test_positions_and_lag_follow_what_is_durable(client: Client) -> None:
    log = small_world().log
    loader: Loader = await load_all(client, log)
    loader.metrics.ends = lambda: {LEDGER: len(log.records[LEDGER]) + 2}
    found = scraped(loader.metrics)
    loaded = sum(value for (name, _, _), value in found.items() if name == "quarterhour_loaded_records_total")
    assert loaded == sum(len(records) for records in log.records.values())
    assert found["quarterhour_load_lag", topics.LEDGER, ""] == 2
