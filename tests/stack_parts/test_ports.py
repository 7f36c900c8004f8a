"""Free ports and ports asked for by number."""

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, count
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.stack import ports
from scripts.stack.ports import LOOPBACK, PortInUse, free_port, given_or_free, is_free

ROOT = Path(__file__).parents[2]


def test_many_callers_at_once_never_get_the_same_port() -> None:
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: free_port(), range(300)))
    assert len(set(given)) == len(given)


ASKING = "from scripts.stack.ports import free_port; print(free_port(), flush=True); input()"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names that end with their process")
def test_a_port_of_another_process_that_has_not_begun_to_listen_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ASKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as other:
        assert other.stdout is not None
        theirs, ours = int(other.stdout.readline()), free_port()
        drawn = chain((theirs, ours, theirs), count(15_000))
        monkeypatch.setattr(ports, "_draw", SimpleNamespace(randint=lambda *_: next(drawn)))
        assert free_port() not in (theirs, ours)
        other.communicate("\n")
    drawn = chain((theirs,), drawn)
    assert free_port() == theirs


def test_free_port_can_be_listened_on_and_is_not_one_for_outgoing_connections() -> None:
    port = free_port()
    outgoing = Path("/proc/sys/net/ipv4/ip_local_port_range")
    assert not outgoing.exists() or port < int(outgoing.read_text().split()[0])
    with socket.create_server((LOOPBACK, port)):
        assert not is_free(port)
    assert is_free(port)


def test_given_port_in_use_is_refused_with_the_setting_that_changes_it() -> None:
    port = free_port()  # not one that an outgoing connection of another process may get as soon as it is closed
    refused = pytest.raises(PortInUse, match=rf"Kafka: port {port} is in use; .* --kafka-port")
    with socket.create_server((LOOPBACK, port)), refused:
        given_or_free(port, "Kafka", "--kafka-port")
    assert given_or_free(port, "Kafka", "--kafka-port") == port


def test_no_port_given_means_a_free_one() -> None:
    assert is_free(given_or_free(None, "Kafka", "--kafka-port"))
