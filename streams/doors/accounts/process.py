"""Starting the account API as a process of its own: its command line. Addresses and key come by the environment."""

from __future__ import annotations

import sys


def command(port: int) -> list[str]:
    """The argument list that serves, with this Python. `/health` answers when it runs; SIGTERM stops it."""
    return [sys.executable, "-m", "streams.doors.accounts", "--port", str(port)]
