"""Each command of the README and the guides runs against one live stack; the few that cannot are parsed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.stack.home import Home
from scripts.stack.kafka_artifacts import KafkaUnavailable, kafka_artifacts
from scripts.stack.ports import free_port
from tests.guides.blocks import ALL, GUIDES, NOT_RUN, PAGES, ROOT, Block
from tests.guides.forking import PROGRAM

PORTS = {"8082": "QUARTERHOUR_INGEST_PORT", "8123": "QUARTERHOUR_CLICKHOUSE_PORT", "8080": "QUARTERHOUR_PAGE_PORT"}
"""The ports that the pages name, and the settings that choose others here."""
APART = ("scripts/guides/operator.md", "scripts/guides/contributor.md")
RUN = [pytest.param(block, id=block.name) for block in ALL if block.name not in NOT_RUN]


@pytest.mark.parametrize("block", [pytest.param(block, id=block.name) for block in ALL])
def test_each_block_is_shell(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_each_guide_is_among_the_pages_and_linked() -> None:
    assert {path.name for path in GUIDES.glob("*.md")} - {"README.md"} == {Path(page).name for page in PAGES[1:]}
    links = (GUIDES / "README.md").read_text(encoding="utf-8")
    assert all(f"({Path(page).name})" in links for page in PAGES[1:])
    assert "scripts/guides/README.md" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_each_file_that_a_page_names_is_there(page: str) -> None:
    """A recipe says what runs it: were that gone, nothing would."""
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:tests|schemas|streams|projections|scripts)/[\w./-]+)`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_what_is_not_run_is_there() -> None:
    assert set(NOT_RUN) <= {block.name for block in ALL}


class Shell:
    """Runs blocks in one folder beside a live stack whose ports stand for those of the pages."""

    def __init__(self, folder: Path, environment: dict[str, str], ports: dict[str, int]) -> None:
        self.folder, self.environment, self._ports = folder, environment, ports

    def run(self, text: str) -> str:
        """What went wrong; empty when every command ended well."""
        for named, here in self._ports.items():
            text = text.replace(f"127.0.0.1:{named}", f"127.0.0.1:{here}")
        done = subprocess.run(
            ["bash", "-euo", "pipefail"], input=text, cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        return f"{text}\n{done.stdout}\n{done.stderr}" if done.returncode else ""

    def run_all(self, chain: Sequence[Block]) -> dict[str, str]:
        """The same for each block, one after the other."""
        return {block.name: self.run(block.text) for block in chain}


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    try:
        kafka_artifacts(lambda _: None)
    except KafkaUnavailable as problem:
        pytest.skip(str(problem))
    if shutil.which("curl") is None:
        pytest.skip("there is no curl on PATH")
    folder = tmp_path_factory.mktemp("guides")
    programs = folder / "bin"
    programs.mkdir()
    address = str(Path(tempfile.mkdtemp(prefix="qh")) / "s")  # a socket's name is short
    for name, text in (
        ("quarterhour", PROGRAM.format(python=sys.executable, address=address)),
        ("python", f'#!/bin/sh\nexec {sys.executable} "$@"\n'),
    ):
        program = programs / name
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
    ports = {named: free_port() for named in PORTS}
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "QUARTERHOUR_HOME": str(folder / "home"),
        "QUARTERHOUR_SESSION_TIMEOUT_SECONDS": "3",
        "QUARTERHOUR_ANSWER_SECONDS": "8",
        **{PORTS[named]: str(port) for named, port in ports.items()},
    }
    output = folder / "up.txt"
    with output.open("wb") as file:
        up, server = (
            [sys.executable, "-m", *rest] for rest in (("scripts.cli", "up"), ("tests.guides.forking", address))
        )
        process = subprocess.Popen(up, env=environment, cwd=folder, stdout=file, stderr=file)
        forking = subprocess.Popen(server, env=environment, cwd=folder, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 240
        while Home(folder / "home").world("live").running() is None:
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        yield Shell(folder, environment, ports)
    finally:
        forking.terminate()
        process.terminate()
        forking.wait(120)
        process.wait(120)
        shutil.rmtree(Path(address).parent)


@pytest.fixture(scope="module")
def wrong(shell: Shell) -> dict[str, str]:
    """What went wrong in each block; pages that ask for nothing of each other are run side by side."""
    run = [block for block in ALL if block.name not in NOT_RUN]
    apart = [block for block in run if block.name.startswith(APART)]
    with ThreadPoolExecutor(2) as pool:
        chains = pool.map(shell.run_all, (apart, [block for block in run if block not in apart]))
        return {name: told for chain in chains for name, told in chain.items()}


@pytest.mark.stack
@pytest.mark.timeout(900)  # the first of them waits for all
@pytest.mark.parametrize("block", RUN)
def test_each_command_of_the_pages_runs(block: Block, wrong: dict[str, str]) -> None:
    assert wrong[block.name] == ""
