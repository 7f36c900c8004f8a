"""A whole program with a supervisor, for tests that send it signals: `python -m ... FOLDER KIND`.

It prints one line `ready PID PID ...` when all toys run and exits with the supervisor's exit code.
"""

import asyncio
import sys
from pathlib import Path

from scripts.stack.kafka_artifacts import kafka_artifacts
from scripts.stack.kafka_node import KafkaNode
from scripts.stack.process import ProcessSpec
from scripts.stack.restarts import RestartPolicy
from scripts.stack.supervisor import Supervisor
from tests.stack_parts.toys import SLEEPER, STUBBORN, noting_toy, toy, until_file_says

QUICK = RestartPolicy(first_delay_seconds=0.05, longest_delay_seconds=0.1, most_crashes=3)


def _say(line: str) -> None:
    print(line, flush=True)


async def main(folder: Path, kind: str) -> int:
    async with Supervisor(folder, QUICK, _say) as supervisor:
        await supervisor.start(await _kafka(folder) if kind == "kafka" else _toys(folder, kind))
        _say("ready " + " ".join(str(process.pid) for process in supervisor.processes()))
        await supervisor.run_until_stopped()
    return supervisor.exit_code


async def _kafka(folder: Path) -> list[ProcessSpec]:
    node = KafkaNode.on_ports(kafka_artifacts(_say), folder / "kafka")
    await node.prepare()
    return [node.process()]


def _toys(folder: Path, kind: str) -> list[ProcessSpec]:
    notes = folder / "notes"
    specs = [
        noting_toy("first", notes, ready=until_file_says(notes, "+first")),
        noting_toy("second", notes, ready=until_file_says(notes, "+second")),
    ]
    if kind == "stubborn":
        log = folder / "deaf.log"
        specs.append(toy("deaf", STUBBORN, grace_seconds=60, ready=until_file_says(log, "deaf\n")))
    if kind == "failing":
        specs.append(toy("broken", "print('the reason'); sys.exit(3)"))
    if kind == "waiting":
        specs.append(toy("slow", SLEEPER, ready=until_file_says(folder / "never", "")))
        _say("waiting")
    return specs


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]), sys.argv[2])))
