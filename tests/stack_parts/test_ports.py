"""Free ports and ports asked for by number."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.stack.ports import LOOPBACK, PortInUse, free_port, given_or_free, is_free


def test_many_callers_at_once_never_get_the_same_port() -> None:
    with ThreadPoolExecutor(8) as pool:
        ports = list(pool.map(lambda _: free_port(), range(300)))
    assert len(set(ports)) == len(ports)


def test_free_port_can_be_listened_on_and_is_not_one_for_outgoing_connections() -> None:
    port = free_port()
    outgoing = Path("/proc/sys/net/ipv4/ip_local_port_range")
    assert not outgoing.exists() or port < int(outgoing.read_text().split()[0])
    with socket.create_server((LOOPBACK, port)):
        assert not is_free(port)
    assert is_free(port)


def test_given_port_in_use_is_refused_with_the_setting_that_changes_it() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortInUse, match=rf"Kafka: port {port} is in use; .* --kafka-port"):
            given_or_free(port, "Kafka", "--kafka-port")
    assert given_or_free(port, "Kafka", "--kafka-port") == port


def test_no_port_given_means_a_free_one() -> None:
    assert is_free(given_or_free(None, "Kafka", "--kafka-port"))
