"""What Prometheus and Grafana are told: rules, targets, panels, and the metrics their queries ask for."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from tests.deploy.composed import ROOT

DEPLOY = ROOT / "scripts" / "deploy"


def rules() -> list[dict[str, Any]]:
    """Every alert rule."""
    found = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text(encoding="utf-8"))
    return [rule for group in found["groups"] for rule in group["rules"]]


def scrape_targets() -> list[str]:
    """Every `service:port` that is scraped."""
    found = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    return [target for job in found["scrape_configs"] for own in job["static_configs"] for target in own["targets"]]


def dashboard() -> dict[str, Any]:
    """The provisioned dashboard."""
    text = (DEPLOY / "grafana" / "dashboards" / "quarterhour.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def queries() -> list[str]:
    """Every query of rules and panels."""
    panels = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    return [str(rule["expr"]) for rule in rules()] + panels


def metrics_in(query: str) -> set[str]:
    """The metrics a query asks for, `up` included."""
    return set(re.findall(r"\bquarterhour_\w+|\bup\b", query))
