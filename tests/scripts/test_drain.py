"""Waiting for the pipeline while the broker comes and goes."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from schemas.settings import Settings
from scripts import drain
from scripts.stack.ports import free_port


class _View:
    """A look at the broker of which the third cannot connect."""

    open_views: list[_View] = []  # noqa: RUF012 - shared on purpose
    asked = 0

    def __init__(self, *_: Any) -> None: ...

    async def start(self) -> None:
        _View.asked += 1
        if _View.asked == 3:
            raise KafkaConnectionError("the broker went away")
        self.open_views.append(self)

    async def stop(self) -> None:
        if self in self.open_views:
            self.open_views.remove(self)


async def test_a_broker_that_goes_away_while_it_is_asked_leaves_no_connection_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drain, "GroupView", _View)
    with pytest.raises(KafkaConnectionError):
        async with drain._Broker(Settings()):
            raise AssertionError("not reached")
    assert _View.asked == 3
    assert _View.open_views == []


async def test_asking_a_broker_that_is_away_again_and_again_leaves_no_client_behind() -> None:
    """pytest turns the warning of a client that was not closed into a failure of this test."""
    settings = Settings(kafka_bootstrap_servers=f"127.0.0.1:{free_port()}")
    for _ in range(2):
        with pytest.raises(KafkaConnectionError):
            async with drain._Broker(settings):
                raise AssertionError("not reached")
    gc.collect()
