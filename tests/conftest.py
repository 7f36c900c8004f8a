"""What the suite runs against, and its order: files that need a real Kafka first, so that two processes do not end on
a long one. Hypothesis draws the same each time and sets no time limits: an outcome is a matter of the code alone.
`pytest --hypothesis-profile default` draws anew.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.chosen import CHOICES, VARIABLE, containers_chosen

settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--servers containers`: the tests' Kafka and ClickHouse are containers."""
    parser.addoption("--servers", choices=CHOICES, help=f"what tests with servers run against (or {VARIABLE})")


def pytest_configure(config: pytest.Config) -> None:
    """Two test processes are both told."""
    if (chosen := config.getoption("--servers")) is not None:
        os.environ[VARIABLE] = chosen
    containers_chosen()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move whole files, so that what a module's tests share is made once."""
    slow = {item.path for item in items if item.get_closest_marker("stack") is not None}
    items.sort(key=lambda item: item.path not in slow)
