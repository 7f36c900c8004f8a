"""docker-compose.yml as Docker Compose itself reads it: anchors, merges and variables resolved."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "quarterhour"


def tool(name: str) -> str:
    """The path of a tool from the test packages; skips where it is not made for this platform."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not packaged for this platform ({sys.platform})")
    return found


@cache
def compose() -> dict[str, Any]:
    """The resolved file; fails with Compose's own message when it is not valid."""
    arguments = [tool("docker-compose"), "--file", "docker-compose.yml", "--profile", "*", "config", "--format", "json"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ours() -> dict[str, Any]:
    """The services that run our image."""
    return {name: service for name, service in compose()["services"].items() if service["image"] == IMAGE}
