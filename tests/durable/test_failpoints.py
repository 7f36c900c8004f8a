"""Fail-points die where they are told, and say what they do not know."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from schemas.errors import ConfigurationError
from streams.durable.failpoints import STEPS, FailPoint


@pytest.mark.parametrize("step", STEPS)
def test_the_process_dies_at_the_nth_passing_of_its_step(step: str) -> None:
    program = (
        "from streams.durable.failpoints import STEPS, FailPoint\n"
        f"point = FailPoint('{step}:2')\n"
        "for batch in range(3):\n"
        "    for step in STEPS:\n"
        "        print(batch, step, flush=True)\n"
        "        point.passed(step)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.splitlines()[-1] == f"1 {step}"


def test_none_chosen_none_dies() -> None:
    point = FailPoint("")
    for step in STEPS:
        point.passed(step)


@pytest.mark.parametrize("spec", ["nowhere:1", "outputs", "outputs:", "outputs:x", ":1"])
def test_an_unknown_fail_point_is_refused_with_the_known_ones(spec: str) -> None:
    with pytest.raises(ConfigurationError, match="outputs, state, position, offset"):
        FailPoint(spec)
