"""The benchmark runs, and says what it says it says."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from scripts.bench_cli import app


def test_the_benchmark_reports_postings_a_second_and_how_flat_they_are() -> None:
    small = ["--charges", "200", "--workspaces", "50", "--grants", "200", "--busy", "100"]
    result = CliRunner().invoke(app, ["accounts", *small])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert found["workspaces"] == [10, 50]
    assert found["postings_per_second"] > 0
    assert found["cost_ratio_50_to_10_workspaces"] > 0
    assert found["many"]["changelog_records"] == 3 * 50
    assert found["many_grants"]["grants"] == 200
    assert found["busy"]["charges_a_day"] == 100
