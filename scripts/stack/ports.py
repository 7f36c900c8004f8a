"""Free loopback ports.

Guarantees: a port is handed out at most once by this process and, on Linux, to one process of ours at a time; nothing
listened on it when it was handed out, and it lies below the range from which the system takes the ports of outgoing
connections. So a crashed server finds its port still free when it comes back.

Left to others: binding it. A stranger may take the same port in between; the numbers are drawn at random so that this
is rare, and the server then says that the port is in use.
"""

import random
import socket
import sys
import threading
from pathlib import Path

LOOPBACK = "127.0.0.1"
_RANGE_SETTING = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 15_000
_USUAL_HIGHEST = 30_000
_TRIES = 1_000

_given: set[int] = set()
_giving = threading.Lock()
_draw = random.SystemRandom()


class PortInUse(RuntimeError):
    """A port that was asked for by number is taken, or no free one was found."""


def free_port() -> int:
    """A loopback port that nothing listens on and that no process of ours that still runs was given."""
    highest = _highest()
    with _giving:
        for _ in range(_TRIES):
            port = _draw.randint(_LOWEST, highest)
            if port not in _given and is_free(port) and _hold(port):
                _given.add(port)
                return port
    raise PortInUse(f"no free port found between {_LOWEST} and {highest} on {LOOPBACK}; stop what holds them")


def given_or_free(port: int | None, what: str, setting: str) -> int:
    """`port` if nothing listens there, any free one for None; `what` and `setting` are for the error's wording."""
    if port is None:
        return free_port()
    with _giving:
        if not is_free(port):
            raise PortInUse(f"{what}: port {port} is in use; stop what holds it or choose another one with {setting}")
        _given.add(port)
    return port


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now (connections winding down do not count)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _hold(port: int) -> bool:
    """Whether no other process holds this number; holds it as long as this process lives."""
    if sys.platform != "linux":
        return True
    sign = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sign.bind(f"\0quarterhour/port/{port}")  # a name without a file, which ends with its process
    except OSError:
        sign.close()
        return False
    sign.detach()  # open until the process ends
    return True


def _highest() -> int:
    try:
        first_outgoing = int(_RANGE_SETTING.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _USUAL_HIGHEST
    return max(_LOWEST + _TRIES, min(first_outgoing - 1, _USUAL_HIGHEST))
