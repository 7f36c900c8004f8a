"""One running stack and one Chromium for the tests of this folder; see `stack_of` for what is in it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from schemas.catalog import DEFAULT_CATALOG
from schemas.settings import Settings
from schemas.signin import Person, issue
from scripts.drain import reach
from scripts.stack.home import Home
from scripts.stack.kafka_artifacts import KafkaUnavailable, kafka_artifacts

START_SECONDS = 240
SOON = 120_000
"""Milliseconds that a page may take to show something: a machine that does much else is slow."""
OPERATOR, OWNER, APP_OWNER, STRANGER = "olga@ops.example", "wanda@acme.example", "anton@acme.example", "sam@x.example"


@dataclass(frozen=True, slots=True)
class Stack:
    """A running `quarterhour up`: its addresses, and what tests do with it."""

    page: str
    accounts: str
    kafka: str
    key: str

    def token(self, person: str) -> str:
        """A sign-in token."""
        role: Any = "operator" if person == OPERATOR else "user"
        return issue(Person(person, role), self.key, datetime.now(UTC), timedelta(hours=1))

    def give(self, person: str, kind: str, **fields: Any) -> None:
        """A command to workspace acme, which must be obeyed."""
        request = urllib.request.Request(
            f"{self.accounts}v1/workspaces/acme/commands/{kind}",
            json.dumps(fields).encode(),
            {"Authorization": f"Bearer {self.token(person)}", "Idempotency-Key": uuid.uuid4().hex},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.status in (200, 202), answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{kind}: {error.read().decode()}") from error

    def say(self, app: str, user: str) -> None:
        """One message of an end user, as a gateway publishes it."""
        content = {"workspace": "acme", "app": app, "channel": "web", "user": user, "direction": "inbound"}
        event = {
            "specversion": "1.0", "id": uuid.uuid4().hex, "source": "/tests", "type": "quarterhour.message.v1",
            "time": datetime.now(UTC).isoformat(), "data": content,
        }  # fmt: skip
        producer = confluent_kafka.Producer({"bootstrap.servers": self.kafka})
        producer.produce("interactions", json.dumps(event).encode(), f"acme/{app}/web/{user}".encode())
        assert producer.flush(30) == 0


def small_credit_catalog(folder: Path) -> Path:
    """The catalog that ships, with free credit for two conversations."""
    text = DEFAULT_CATALOG.read_text(encoding="utf-8").replace('usd = "500"', 'usd = "0.40"', 1)
    file = folder / "catalog.toml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture(scope="module")  # a stack that stays up costs every test after it
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, with workspace acme of OWNER, whose app is `helper`, and APP_OWNER's app `orders`."""
    try:
        kafka_artifacts(lambda _: None)
    except KafkaUnavailable as problem:
        pytest.skip(str(problem))
    home = tmp_path_factory.mktemp("browser")
    environment = {
        **os.environ, "QUARTERHOUR_HOME": str(home),
        "QUARTERHOUR_CATALOG": str(small_credit_catalog(home)), "QUARTERHOUR_ANSWER_SECONDS": "8",
    }  # fmt: skip
    world, output = Home(home).world("live"), home / "up.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.cli", "up"], env=environment, stdout=file, stderr=file
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while (record := world.running()) is None:
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        found = record.addresses
        stack = Stack(found["page"], found["accounts-api"], found["kafka"], world.signing_key_file.read_text())
        stack.give(OPERATOR, "create_workspace", owner=OWNER)
        stack.give(OWNER, "invite_user", user=APP_OWNER)
        stack.give(APP_OWNER, "accept_invitation")
        for person, app in ((OWNER, "helper"), (APP_OWNER, "orders")):
            stack.give(person, "create_app", app=app)
            stack.give(person, "publish_app", app=app)
        # Until the page can show it.
        there = Settings(kafka_bootstrap_servers=found["kafka"], clickhouse_url=found["clickhouse"])
        asyncio.run(reach(there, START_SECONDS))
        yield stack
    finally:
        # Nothing of it is looked at any more, and on Linux whatever it started dies with it (scripts/stack/child.py).
        process.send_signal(signal.SIGKILL if sys.platform == "linux" else signal.SIGTERM)
        process.wait(120)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window. Of one module, because Playwright keeps an event loop while it runs."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium on PATH: `apt-get install chromium` as root (scripts/chromium.sh does so)")
    expect.set_options(timeout=SOON)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def sign_in(stack: Stack, browser: Browser) -> Iterator[Callable[..., Page]]:
    """A page of a browser of its own in which somebody is signed in, by the link."""
    contexts = []

    def signed_in(person: str, **options: Any) -> Page:
        context = browser.new_context(**options)
        context.set_default_timeout(SOON)
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{stack.page}sign-in?token={stack.token(person)}")
        page.wait_for_url(stack.page)
        return page

    yield signed_in
    for context in contexts:
        context.close()
