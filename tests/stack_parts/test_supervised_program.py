"""A program with a supervisor, seen from outside: signals, exit codes, and what is left when it is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stack_parts.toys import gone

Starter = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    programs: list[subprocess.Popen[str]] = []

    def starter(kind: str) -> "subprocess.Popen[str]":
        # The tests themselves may run under nohup, which the supervisor would rightly honour.
        usual = (
            "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
        )
        program = [sys.executable, "-m", "tests.stack_parts.supervised_program", str(tmp_path), kind]
        command = [sys.executable, "-c", usual, *program]
        root = Path(__file__).parents[2]
        programs.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, start_new_session=True))
        return programs[-1]

    yield starter
    for program in programs:
        program.kill()
        program.communicate()


def line(program: "subprocess.Popen[str]", first_word: str) -> list[str]:
    assert program.stdout is not None
    for text in program.stdout:
        if text.startswith(first_word):
            return text.split()[1:]
    raise AssertionError(f"it ended without saying {first_word}")


def pids(program: "subprocess.Popen[str]") -> list[int]:
    return [int(word) for word in line(program, "ready")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stop_that_was_asked_for_ends_in_order_with_exit_code_zero(
    start: Starter, tmp_path: Path, number: signal.Signals
) -> None:
    program = start("usual")
    children = pids(program)
    os.killpg(program.pid, number)  # as a terminal does it: to the whole group
    assert program.wait(60) == 0
    assert (tmp_path / "notes").read_text().split() == ["+first", "+second", "-second", "-first"]
    assert all(gone(child) for child in children)


def test_kill_9_of_the_supervisor_leaves_no_process(start: Starter) -> None:
    program = start("stubborn")
    children = pids(program)
    assert len(children) == 3
    program.kill()
    assert program.wait(60) == -signal.SIGKILL
    assert all(gone(child) for child in children)


def test_second_stop_signal_ends_the_grace(start: Starter, tmp_path: Path) -> None:
    program = start("stubborn")
    children = pids(program)
    program.send_signal(signal.SIGINT)
    log = tmp_path / "deaf.log"
    while "told to stop" not in log.read_text():
        assert program.poll() is None
        time.sleep(0.02)
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.5)
    program.send_signal(signal.SIGINT)
    assert program.wait(60) == 0
    assert all(gone(child) for child in children)


def test_giving_up_ends_with_exit_code_one(start: Starter) -> None:
    program = start("failing")
    children = pids(program)
    assert program.wait(60) == 1
    assert program.stdout is not None
    said = program.stdout.read()
    assert "given up after 3 crashes in a row" in said
    assert "the reason" in said
    assert all(gone(child) for child in children)


def test_stop_during_the_start_is_a_stop_that_was_asked_for(start: Starter, tmp_path: Path) -> None:
    program = start("waiting")
    line(program, "waiting")
    while not (tmp_path / "slow.log").exists():
        assert program.poll() is None
    program.send_signal(signal.SIGTERM)
    assert program.wait(60) == 0
    assert (tmp_path / "notes").read_text().split() == ["+first", "+second", "-second", "-first"]
