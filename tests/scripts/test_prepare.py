"""`quarterhour prepare`: a Kafka and a ClickHouse of one's own are brought to what the pipeline needs."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from schemas.errors import ConfigurationError
from scripts.cli import app


@pytest.mark.parametrize(
    ("environment", "missing"),
    [({}, "KAFKA_BOOTSTRAP_SERVERS"), ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, "CLICKHOUSE_URL")],
)
def test_what_is_not_set_is_named(environment: dict[str, str], missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "CLICKHOUSE_URL"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(app, ["prepare"], env=environment)
    assert isinstance(result.exception, ConfigurationError)
    assert missing in str(result.exception)
