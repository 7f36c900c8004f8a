"""Starting the embedded ClickHouse as a process of its own: its command line, and waiting until it answers.

For supervisors and tests. Imports neither the engine nor the server, so that it costs nothing; starting and stopping
the process is the caller's.
"""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

_POLL_SECONDS = 0.05
_ONE_ANSWER_SECONDS = 2.0


def command(
    path: Path | str,
    port: int,
    *,
    host: str = "127.0.0.1",
    database: str = "quarterhour",
    readonly_port: int | None = None,
    fsync: bool = True,
) -> list[str]:
    """The argument list that starts it on the data directory `path`, with this Python. SIGTERM stops it."""
    arguments = [sys.executable, "-m", "projections.embedded", "--path", str(path), "--port", str(port)]
    arguments += ["--host", host, "--database", database]
    if readonly_port is not None:
        arguments += ["--readonly-port", str(readonly_port)]
    if not fsync:
        arguments.append("--no-fsync")
    return arguments


def wait_until_ready(url: str, timeout_seconds: float, path: str = "/ping") -> None:
    """Return as soon as ``path`` at ``url`` answers 200; raises `TimeoutError` after `timeout_seconds`.

    `url` is ``http://host:port``. A process that has died meanwhile is the caller's to notice.
    """
    if not url.startswith("http://"):
        raise ValueError(f"{url} is not an http:// address")
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            with urllib.request.urlopen(f"{url.rstrip('/')}{path}", timeout=_ONE_ANSWER_SECONDS) as answer:  # noqa: S310 - http only, checked above
                if answer.status == 200:
                    return
        except (OSError, urllib.error.URLError):
            pass
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{url} did not answer within {timeout_seconds:g} seconds")
        time.sleep(_POLL_SECONDS)
