"""What the tests of Kafka share: its artifacts, or the reason why they cannot be had here."""

import pytest

from scripts.stack.kafka_artifacts import KafkaArtifacts, KafkaUnavailable, kafka_artifacts


@pytest.fixture(scope="session")
def artifacts() -> KafkaArtifacts:
    try:
        return kafka_artifacts()
    except KafkaUnavailable as reason:
        pytest.skip(str(reason))
