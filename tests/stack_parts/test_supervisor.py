"""The supervisor with toy processes, inside the test's own event loop."""

import asyncio
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from scripts.stack.restarts import RestartPolicy
from scripts.stack.supervisor import ProcessFailed, ProcessSpec, ProcessState, StopAsked, Supervisor
from tests.stack_parts.toys import SLEEPER, STUBBORN, eventually, gone, noting_toy, toy, until_file_says

QUICK = RestartPolicy(first_delay_seconds=0.05, longest_delay_seconds=0.2, most_crashes=4)


def supervisor_in(folder: Path, said: list[str] | None = None, policy: RestartPolicy = QUICK) -> Supervisor:
    return Supervisor(folder, policy, (said if said is not None else []).append, signals=False)


def state_of(supervisor: Supervisor, name: str) -> ProcessState:
    return next(state for state in supervisor.processes() if state.name == name)


def pid_of(supervisor: Supervisor, name: str) -> int:
    pid = state_of(supervisor, name).pid
    assert pid is not None
    return pid


async def test_processes_start_in_order_each_after_the_one_before_is_ready(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    code = f"time.sleep(0.4); pathlib.Path({str(notes)!r}).write_text('+slow\\n'); {SLEEPER}"
    slow = toy("slow", code, ready=until_file_says(notes, "+slow"))
    async with supervisor_in(tmp_path) as supervisor:
        await supervisor.start([slow, noting_toy("next", notes, ready=until_file_says(notes, "+next"))])
        assert notes.read_text().split() == ["+slow", "+next"]
        assert [(state.name, state.healthy, state.restarts) for state in supervisor.processes()] == [
            ("slow", True, 0),
            ("next", True, 0),
        ]


async def test_processes_stop_in_reverse_order(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    async with supervisor_in(tmp_path) as supervisor:
        await supervisor.start(
            [noting_toy(name, notes, ready=until_file_says(notes, f"+{name}")) for name in ("one", "two", "three")]
        )
    assert notes.read_text().split() == ["+one", "+two", "+three", "-three", "-two", "-one"]
    assert supervisor.exit_code == 0


async def test_child_leads_a_session_and_a_group_of_its_own(tmp_path: Path) -> None:
    async with supervisor_in(tmp_path) as supervisor:
        await supervisor.start([toy("child", SLEEPER)])
        pid = pid_of(supervisor, "child")
        assert os.getpgid(pid) == os.getsid(pid) == pid != os.getpgrp()


async def test_log_is_appended_to_and_names_the_pid_of_every_start(tmp_path: Path) -> None:
    (tmp_path / "child.log").write_text("kept from before\n")
    async with supervisor_in(tmp_path) as supervisor:
        await supervisor.start([toy("child", f"print('hello', os.getpid(), flush=True); {SLEEPER}")])
        pid = pid_of(supervisor, "child")
        log = supervisor.log_file("child")
        await eventually(lambda: f"hello {pid}" in log.read_text())
    lines = log.read_text().splitlines()
    assert lines[0] == "kept from before"
    assert f"child starts, pid {pid}:" in lines[1]


async def test_crashed_process_comes_back_after_a_growing_delay_and_one_line_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    policy = RestartPolicy(first_delay_seconds=0.1, longest_delay_seconds=1, most_crashes=10)
    async with supervisor_in(tmp_path, said, policy) as supervisor:
        await supervisor.start([toy("child", SLEEPER), toy("other", SLEEPER)])
        other = pid_of(supervisor, "other")
        for crash in (1, 2):
            before = pid_of(supervisor, "child")
            os.kill(before, signal.SIGKILL)
            await eventually(lambda count=crash: state_of(supervisor, "child").restarts == count)  # type: ignore[misc]
            await eventually(lambda: state_of(supervisor, "child").healthy)
            assert pid_of(supervisor, "child") != before
        assert pid_of(supervisor, "other") == other
    log = tmp_path / "child.log"
    assert said == [
        f"child ended with signal SIGKILL; starting it again in {delay} s (log: {log})" for delay in ("0.1", "0.2")
    ]
    assert supervisor.exit_code == 0


async def test_process_is_unhealthy_until_it_is_ready_again(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.write_text("up")
    async with supervisor_in(tmp_path) as supervisor:
        await supervisor.start([toy("child", SLEEPER, ready=until_file_says(flag, "up"))])
        flag.write_text("down")
        os.kill(pid_of(supervisor, "child"), signal.SIGKILL)
        await eventually(lambda: state_of(supervisor, "child").restarts == 1)
        await eventually(lambda: state_of(supervisor, "child").pid is not None)
        assert not state_of(supervisor, "child").healthy
        flag.write_text("up")
        await eventually(lambda: state_of(supervisor, "child").healthy)


async def test_too_many_crashes_in_a_row_stop_everything_and_show_the_log(tmp_path: Path) -> None:
    said: list[str] = []
    async with supervisor_in(tmp_path, said) as supervisor:
        await supervisor.start([toy("sound", SLEEPER), toy("broken", "print('the reason'); sys.exit(3)")])
        sound = pid_of(supervisor, "sound")
        assert await supervisor.run_until_stopped() == 1
        assert gone(sound)
    assert len(said) == 4
    assert said[0].startswith("broken ended with exit code 3; starting it again in 0.05 s")
    assert said[-1].startswith("broken ended with exit code 3; given up after 4 crashes in a row")
    assert "the reason" in said[-1]
    assert supervisor.exit_code == 1


async def test_process_that_runs_once_may_end_well_but_not_badly(tmp_path: Path) -> None:
    async with supervisor_in(tmp_path) as supervisor:
        await supervisor.start([toy("good", "pass", restart=False)])
        await eventually(lambda: state_of(supervisor, "good").pid is None)
        await asyncio.sleep(0.1)
        assert not supervisor.stopping
        await supervisor.start([toy("bad", "sys.exit(5)", restart=False)])
        assert await supervisor.run_until_stopped() == 1
    assert supervisor.failure is not None
    assert supervisor.failure.startswith("bad ended with exit code 5")


async def test_process_that_ends_before_it_is_ready_fails_the_start_with_its_log(tmp_path: Path) -> None:
    never = until_file_says(tmp_path / "never", "")
    supervisor = supervisor_in(tmp_path)
    with pytest.raises(ProcessFailed, match=r"broken ended with exit code 7 before it was ready[\s\S]*no such setting"):
        async with supervisor:
            await supervisor.start([toy("broken", "print('no such setting'); sys.exit(7)", ready=never)])
    assert supervisor.exit_code == 1


async def test_process_that_never_gets_ready_fails_the_start_and_is_stopped(tmp_path: Path) -> None:
    supervisor = supervisor_in(tmp_path)
    slow = toy("slow", SLEEPER, ready=until_file_says(tmp_path / "never", ""), ready_seconds=0.3)
    with pytest.raises(ProcessFailed, match=r"slow was not ready after 0.3 s"):
        async with supervisor:
            await supervisor.start([slow])
    assert state_of(supervisor, "slow").pid is None


async def test_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    supervisor = supervisor_in(tmp_path)
    missing = ProcessSpec("missing", ["/no/such/program"], ready=until_file_says(tmp_path / "never", ""))
    with pytest.raises(ProcessFailed, match=r"exit code 127[\s\S]*/no/such/program: No such file"):
        async with supervisor:
            await supervisor.start([missing])


async def test_process_deaf_to_the_stop_signal_is_killed_after_its_grace(tmp_path: Path) -> None:
    async with supervisor_in(tmp_path) as supervisor:
        log = tmp_path / "deaf.log"
        ready = until_file_says(log, "deaf\n")
        await supervisor.start([toy("deaf", STUBBORN, ready=ready, grace_seconds=0.4)])
        pid = pid_of(supervisor, "deaf")
        started = time.monotonic()
    assert time.monotonic() - started >= 0.4
    assert log.read_text().endswith("deaf\ntold to stop\n")
    assert gone(pid)


async def test_frozen_process_hears_of_the_stop(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    async with supervisor_in(tmp_path) as supervisor:
        await supervisor.start([noting_toy("child", notes, ready=until_file_says(notes, "+child"))])
        os.kill(pid_of(supervisor, "child"), signal.SIGSTOP)
    assert notes.read_text().split() == ["+child", "-child"]


async def test_what_a_child_started_goes_with_it(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    parent = toy("parent", f"pid = os.fork()\nif pid: open({str(notes)!r}, 'a').write(f'{{pid}}\\n')\n{SLEEPER}")

    def grandchildren() -> list[int]:
        return [int(line) for line in notes.read_text().split()] if notes.exists() else []

    async with supervisor_in(tmp_path) as supervisor:
        await supervisor.start([parent])
        await eventually(lambda: len(grandchildren()) == 1)
        os.kill(pid_of(supervisor, "parent"), signal.SIGKILL)
        await eventually(lambda: len(grandchildren()) == 2)
        assert gone(grandchildren()[0])
        assert psutil.pid_exists(grandchildren()[1])
    assert gone(grandchildren()[1])


async def test_stop_asked_for_while_work_goes_on_cancels_the_work(tmp_path: Path) -> None:
    reached = False
    async with supervisor_in(tmp_path) as supervisor:
        assert await supervisor.during(asyncio.sleep(0, "result")) == "result"
        asyncio.get_running_loop().call_later(0.1, supervisor.request_stop)
        with pytest.raises(StopAsked):
            await supervisor.during(asyncio.sleep(60))
        await supervisor.start([toy("too late", SLEEPER)])
        reached = True
    assert not reached
    assert supervisor.exit_code == 0


async def test_two_processes_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="already supervised"):
        async with supervisor_in(tmp_path) as supervisor:
            await supervisor.start([toy("same", SLEEPER), toy("same", SLEEPER)])
