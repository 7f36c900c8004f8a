"""Becomes a supervised program: `python -I -S child.py SUPERVISOR_PID NAME PROGRAM [ARGUMENT ...]`.

Guarantees: when the supervisor dies, however it dies, the system kills this process with SIGKILL (Linux; the setting
outlives exec, so it holds for the program, a Java machine included). SIGKILL and not SIGTERM: nothing would be left to
see to it that the program obeys, and every program of ours survives it. The log gets one line with the pid, which is
the program's own, because this process turns into it.

Left to others: the session and process group of its own (the supervisor starts it so), and the program's own children:
the setting is not inherited by them. Other systems than Linux have no such setting: there only an orderly stop stops
the children.

Standard library only and run by its path, because it starts once for every process of the stack.
"""

import ctypes
import os
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
_LONGEST_LINE = 300
NOT_STARTED = 127


def main(arguments: list[str]) -> int:
    """Never returns when all goes well."""
    supervisor, name, *argv = arguments
    if not _die_with(int(supervisor)):
        return NOT_STARTED
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = f"=== {stamp} {name} starts, pid {os.getpid()}: {' '.join(argv)}"
    os.write(2, (line[:_LONGEST_LINE] + "\n").encode())
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - becoming another program is what this one is for
    except OSError as error:
        os.write(2, f"=== {name} cannot be started: {argv[0]}: {error.strerror}\n".encode())
    return NOT_STARTED


def _die_with(supervisor: int) -> bool:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # If it died before the line above, no signal will ever come.
    return os.getppid() == supervisor


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
