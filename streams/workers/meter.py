"""METER as a process: `python -m streams.workers.meter`, addresses and settings from the environment."""

from __future__ import annotations

import tempfile
from pathlib import Path

from schemas.errors import told_at_start
from schemas.settings import Settings
from schemas.topics import INTERACTIONS, METER_CHANGELOG
from streams.durable import collector
from streams.durable.worker import EXIT_CRASHED, PartitionWorker, Role
from streams.metering.meter import MeterPartition
from streams.metering.policy import MeterPolicy

GROUP = "quarterhour-meter"


def meter_role(settings: Settings) -> Role:
    """METER's role under the settings."""
    policy = MeterPolicy(
        lateness_us=settings.allowed_lateness_us,
        interaction_partitions=settings.interaction_partitions,
        account_partitions=settings.account_partitions,
    )
    return Role(GROUP, INTERACTIONS, METER_CHANGELOG, lambda partition: MeterPartition(partition, policy))


def main() -> None:
    """Run one METER worker."""
    with told_at_start(EXIT_CRASHED), tempfile.TemporaryDirectory(prefix="quarterhour-") as directory:
        settings = Settings()
        worker = PartitionWorker(meter_role(settings), settings, Path(directory))
        collector.calm()
        worker.run()


if __name__ == "__main__":
    main()
