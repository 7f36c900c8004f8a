"""ACCOUNTS as a process: `python -m streams.workers.accounts`, addresses and settings from the environment."""

from __future__ import annotations

import tempfile
from pathlib import Path

from schemas.catalog import DEFAULT_CATALOG, load_catalog
from schemas.errors import told_at_start
from schemas.settings import Settings
from schemas.topics import ACCOUNTS_CHANGELOG, INBOX
from streams.accounts.partition import AccountsPartition
from streams.accounts.policy import policy_of
from streams.durable import collector
from streams.durable.worker import EXIT_CRASHED, PartitionWorker, Role

GROUP = "quarterhour-accounts"


def accounts_role(settings: Settings) -> Role:
    """ACCOUNTS' role under the settings."""
    policy = policy_of(load_catalog(settings.catalog or DEFAULT_CATALOG))
    rejected = settings.interaction_partitions
    return Role(GROUP, INBOX, ACCOUNTS_CHANGELOG, lambda partition: AccountsPartition(partition, policy, rejected))


def main() -> None:
    """Run one ACCOUNTS worker."""
    with told_at_start(EXIT_CRASHED), tempfile.TemporaryDirectory(prefix="quarterhour-") as directory:
        settings = Settings()
        worker = PartitionWorker(accounts_role(settings), settings, Path(directory))
        collector.calm()
        worker.run()


if __name__ == "__main__":
    main()
