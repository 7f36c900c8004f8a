"""Prometheus and Grafana: every query parses, every target is composed; metrics are checked where they are served."""

from __future__ import annotations

import promql_parser
import pytest

from tests.deploy.composed import compose
from tests.deploy.observed import dashboard, metrics_in, queries, rules, scrape_targets

QUERIES = queries()


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_is_promql_and_asks_for_a_metric(query: str) -> None:
    promql_parser.parse(query)
    assert metrics_in(query)


def test_each_target_is_a_composed_service_on_the_port_it_serves_metrics_on() -> None:
    services = compose()["services"]
    targets = scrape_targets()
    assert targets
    for target in targets:
        name, port = target.split(":")
        assert services[name]["environment"]["QUARTERHOUR_METRICS_PORT"] == port or port in str(
            services[name]["command"]
        )


def test_each_alert_says_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["action"].endswith(".")


def test_each_panel_has_a_title_and_a_unit() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 0
    for panel in panels:
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
