"""What tests with servers run against: processes of this machine, or containers (`pytest --servers containers`).

Without a Docker engine whatever needs one skips with the reason.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache

import pytest

VARIABLE = "QUARTERHOUR_TEST_SERVERS"
LOCAL, CONTAINERS = CHOICES = ("local", "containers")


def containers_chosen() -> bool:
    """Whether the tests' servers are containers; UsageError for a choice that there is not."""
    chosen = os.environ.get(VARIABLE) or LOCAL
    if chosen not in CHOICES:
        raise pytest.UsageError(f"{VARIABLE}: {chosen!r} is none of {', '.join(CHOICES)}")
    return chosen == CONTAINERS


@cache
def why_no_docker() -> str | None:
    """Why containers cannot be run here; None when they can."""
    for arguments in (["docker", "version"], ["docker", "compose", "version"]):
        try:
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=20)
        except OSError as error:
            return f"no Docker here: {error}"
        if done.returncode != 0:
            return f"no Docker engine answers: {done.stderr.strip().splitlines()[0]}"
    return None


def docker_or_skip() -> None:
    """Skips with the reason where containers cannot be run."""
    if (reason := why_no_docker()) is not None:
        pytest.skip(reason)
