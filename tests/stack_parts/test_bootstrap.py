"""The logic of scripts/bootstrap.sh, with a stand-in for Python that notes what it is asked to do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "bootstrap.sh"
# The same stand-in serves as python3 and as .venv/bin/python; FAIL names the step that is to fail or hang.
STAND_IN = """#!/bin/bash
case "$*" in
  "-I -S -c"*) echo "3.11.0" ;;
  "-c"*) ;;
  "--version") echo "Python 3.11.0" ;;
  "-m venv"*) echo "venv" >> "$NOTES"; mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
  *--require-hashes*)
    echo "lock" >> "$NOTES"
    if [[ "${BREAK:-}" == fail ]]; then echo "no such package"; exit 1; fi
    if [[ "${BREAK:-}" == kill ]]; then kill -9 $PPID; fi
    sleep 0.3 ;;
  *--no-build-isolation*) echo "project" >> "$NOTES" ;;
esac
"""
ALL = ["venv", "lock", "project"]


class Checkout:
    def __init__(self, folder: Path) -> None:
        self.folder, self.notes = folder / "checkout", folder / "notes"
        (self.folder / "scripts").mkdir(parents=True)
        (folder / "bin").mkdir()
        shutil.copy(SCRIPT, self.folder / "scripts" / "bootstrap.sh")
        self.write("requirements.lock", "one==1\n")
        self.write("pyproject.toml", "[project]\n")
        (folder / "bin" / "python3").write_text(STAND_IN)
        (folder / "bin" / "python3").chmod(0o755)
        self.environment = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "NOTES": str(self.notes)}

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def start(self, **more: str) -> "subprocess.Popen[str]":
        script = self.folder / "scripts" / "bootstrap.sh"
        return subprocess.Popen([script], cwd="/", env={**self.environment, **more}, stderr=subprocess.PIPE, text=True)

    def run(self, expected_code: int = 0, **more: str) -> str:
        process = self.start(**more)
        said = process.communicate(timeout=120)[1]
        assert process.returncode == expected_code, said
        return said

    def steps(self) -> list[str]:
        """The steps since the last time this was asked."""
        steps = self.notes.read_text().split() if self.notes.exists() else []
        self.notes.unlink(missing_ok=True)
        return steps


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_first_call_installs_and_the_second_does_nothing(checkout: Checkout) -> None:
    assert len(checkout.run().splitlines()) == len(ALL)
    assert checkout.steps() == ALL
    assert checkout.run() == ""
    assert checkout.steps() == []


@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml"])
def test_changed_lock_or_project_file_installs_again(checkout: Checkout, changed: str) -> None:
    checkout.run()
    checkout.steps()
    checkout.write(changed, "changed\n")
    checkout.run()
    assert checkout.steps() == ["lock", "project"]


def test_checkout_that_was_moved_installs_again(checkout: Checkout) -> None:
    checkout.run()
    checkout.steps()
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))
    checkout.run()
    assert checkout.steps() == ["lock", "project"]


def test_environment_left_half_made_is_made_anew(checkout: Checkout) -> None:
    checkout.run(expected_code=-9, BREAK="kill")
    assert checkout.steps() == ["venv", "lock"]
    (checkout.folder / ".venv" / "left-over").touch()
    checkout.run()
    assert checkout.steps() == ALL
    assert not (checkout.folder / ".venv" / "left-over").exists()


def test_environment_whose_python_is_gone_is_made_anew(checkout: Checkout) -> None:
    checkout.run()
    checkout.steps()
    (checkout.folder / ".venv" / "bin" / "python").unlink()
    checkout.run()
    assert checkout.steps() == ALL


def test_failing_step_ends_it_and_shows_what_pip_said(checkout: Checkout) -> None:
    said = checkout.run(expected_code=1, BREAK="fail")
    assert "no such package" in said
    assert "bootstrap.log" in said
    assert checkout.steps() == ["venv", "lock"]


def test_two_at_once_install_once(checkout: Checkout) -> None:
    both = [checkout.start(), checkout.start()]
    for process in both:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert checkout.steps() == ALL
