"""The shell blocks of our pages, in their order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ROOT / "scripts" / "guides"
PAGES = ("README.md", *(str(GUIDES.relative_to(ROOT) / f"{name}.md") for name in (
    "gateway", "owner", "analyst", "operator", "contributor",
)))  # fmt: skip
"""In the order they are run in: what one makes, the next ones ask for."""


@dataclass(frozen=True, slots=True)
class Block:
    """One ```sh block; `name` is its page and number."""

    name: str
    text: str


def blocks(page: str) -> list[Block]:
    """The blocks of a page."""
    found = re.findall(r"^```sh\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [Block(f"{page}#{number}", text) for number, text in enumerate(found, 1)]


ALL = [block for page in PAGES for block in blocks(page)]
NOT_RUN = {
    "README.md#1": "installs and runs everything, this suite included; `run --once` is tests/end_to_end/test_run.py",
    "README.md#2": "`up` serves until it is stopped (the stack of these tests is one); kcat is no package of ours",
    "scripts/guides/operator.md#5": "makes and loses a world of its own: tests/operating/test_backup.py runs it",
}
"""Blocks that are only parsed by the shell, and why."""
