"""Homes, worlds, and the record of a running stack."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.stack.home import Home, StackRecord, World, WorldInUse
from tests.stack_parts.toys import gone

ADDRESSES = {"kafka": "127.0.0.1:9092", "clickhouse": "http://127.0.0.1:8123"}
HOLDER = """
import sys, time
from scripts.stack.home import Home, StackRecord
from pathlib import Path
world = Home(Path(sys.argv[1])).world()
with world.lock():
    world.publish(StackRecord.of_this_process({"kafka": "127.0.0.1:9092"}, {}))
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return Home(tmp_path).world()


def test_home_lies_where_the_environment_says_else_in_the_checkout(tmp_path: Path) -> None:
    assert Home.from_environment({"QUARTERHOUR_HOME": str(tmp_path)}).directory == tmp_path
    assert Home.from_environment({}).directory == Path(__file__).resolve().parents[2] / ".quarterhour"


def test_world_has_a_folder_for_each_kind_of_data_once_it_is_locked(world: World, tmp_path: Path) -> None:
    assert Home(tmp_path).worlds() == []
    with world.lock():
        assert {path.name for path in world.directory.iterdir()} == {"kafka", "clickhouse", "logs", "lock"}
    assert Home(tmp_path).worlds() == [world]
    assert world.directory == tmp_path / "worlds" / "default"


@pytest.mark.parametrize("name", ["", "..", "a/b", "Upper", ".hidden"])
def test_names_that_could_leave_the_home_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a world"):
        Home(tmp_path).world(name)


def test_record_tells_of_a_running_stack_and_goes_with_it(world: World) -> None:
    with world.lock():
        assert world.running() is None
        world.publish(StackRecord.of_this_process(ADDRESSES, {"kafka": 4711}))
        record = world.running()
        assert record is not None
        assert (record.pid, record.addresses, record.pids) == (os.getpid(), ADDRESSES, {"kafka": 4711})
        assert [path.name for path in world.directory.glob("stack.json*")] == ["stack.json"]
    assert not world.record_file.exists()


def test_record_of_a_later_process_with_the_same_pid_is_stale(world: World) -> None:
    with world.lock():
        mine = StackRecord.of_this_process(ADDRESSES, {})
        world.publish(replace(mine, pid_started_at=mine.pid_started_at - 60))
        assert world.running() is None
        world.publish(mine)
        assert world.running() == mine


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', json.dumps({"unknown": 1})])
def test_record_that_cannot_be_read_is_stale(world: World, text: str) -> None:
    world.directory.mkdir(parents=True)
    world.record_file.write_text(text)
    assert world.running() is None


def test_second_stack_is_refused_until_the_first_is_gone_even_by_kill_9(world: World, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        expected = re.escape(f"(process {holder.pid}); it serves kafka at 127.0.0.1:9092.")
        with pytest.raises(WorldInUse, match=expected), world.lock():
            raise AssertionError("two stacks on one world")
        running = world.running()
        assert running is not None
        assert running.pid == holder.pid
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert gone(holder.pid)
    assert world.record_file.exists()
    assert world.running() is None
    with world.lock():
        assert not world.record_file.exists()


def test_stack_that_has_not_published_yet_is_named_by_its_pid(world: World) -> None:
    with world.lock(), pytest.raises(WorldInUse, match=f"process {os.getpid()}"), world.lock():
        raise AssertionError("two stacks on one world")
