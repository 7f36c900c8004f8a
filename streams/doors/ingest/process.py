"""Starting the ingest as a process of its own: its command line. It reads the settings from the environment."""

from __future__ import annotations

import sys


def command(port: int) -> list[str]:
    """The argument list, with this Python. `/ready` answers 200 when events can be taken; SIGTERM stops it in order."""
    return [sys.executable, "-m", "streams.doors.ingest", "--port", str(port)]
