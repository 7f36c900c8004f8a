"""Starting the page and query API as a process of its own: its command line. It reads `CLICKHOUSE_URL`."""

from __future__ import annotations

import sys


def command(port: int) -> list[str]:
    """The argument list that serves on loopback, with this Python; `/ready` says when. SIGTERM stops it."""
    return [sys.executable, "-m", "projections.web", "--port", str(port)]
