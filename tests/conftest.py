"""The order of the whole suite: files that need a real Kafka first, so that two processes do not end on a long one."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move whole files, so that what a module's tests share is made once."""
    slow = {item.path for item in items if item.get_closest_marker("stack") is not None}
    items.sort(key=lambda item: item.path not in slow)
