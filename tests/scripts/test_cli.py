"""The command line: what the README lists is what there is, and each command explains itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from scripts.cli import app
from scripts.report import usd

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]  # typer makes a click group


def test_the_readme_lists_the_commands_as_they_are() -> None:
    section = README.split("## Commands")[1].split("## ")[0]
    listed = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
    assert sorted(listed) == [f"quarterhour {name}" for name in COMMANDS]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output


def test_the_readme_opens_with_the_two_commands() -> None:
    commands = README.split("```sh\n")[1].splitlines()[:2]
    assert [line.split()[0] for line in commands] == ["./scripts/run", "./scripts/test"]


@pytest.mark.parametrize(
    ("micros", "text"),
    [(0, "0.00"), (200_000, "0.20"), (-200_000, "-0.20"), (1_234_567_890, "1,234.56789"), (1, "0.000001")],
)
def test_c7_amounts_are_shown_exactly(micros: int, text: str) -> None:
    assert usd(micros) == text
