"""The process: its memory, its clients' disconnects, its end, and what survives a kill."""

from __future__ import annotations

import http.client
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

from projections.embedded.process import command, wait_until_ready
from scripts.stack.ports import free_port
from tests.embedded.conftest import Served, running
from tests.embedded.wire import Reply, ask, runs

_ENDLESS = "SELECT sum(cityHash64(number)) AS endless FROM numbers(1000000000000)"
_MEGABYTE = 1 << 20


def test_a_large_answer_streams_through_flat_memory(served: Served) -> None:
    process = psutil.Process(served.process.pid)
    before = process.memory_info().rss
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
    connection.request("POST", "/", "SELECT number, toString(number) AS text FROM numbers(10000000) FORMAT JSONEachRow")
    answer = connection.getresponse()
    size, highest = 0, before
    while chunk := answer.read(4 * _MEGABYTE):
        size += len(chunk)
        highest = max(highest, process.memory_info().rss)
    connection.close()
    assert size > 300 * _MEGABYTE
    assert highest - before < 150 * _MEGABYTE


def test_a_large_insert_streams_through_flat_memory(served: Served) -> None:
    process = psutil.Process(served.process.pid)
    assert ask(served.url, "CREATE TABLE swallow (a UInt64) ENGINE = Null").status == 200
    before = highest = process.memory_info().rss
    piece = b"".join(b"%d\n" % number for number in range(10**9, 10**9 + 100_000))

    def pieces() -> object:
        nonlocal highest
        for _ in range(200):
            highest = max(highest, process.memory_info().rss)
            yield piece

    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
    connection.request("POST", "/?query=INSERT+INTO+swallow+FORMAT+TSV", pieces())  # type: ignore[arg-type]
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    assert '"written_rows":"20000000"' in (answer.getheader("X-ClickHouse-Summary") or "")
    connection.close()
    assert highest - before < 150 * _MEGABYTE


@pytest.mark.parametrize("query", [_ENDLESS, "SELECT number AS endless FROM numbers(1000000000000)"])
def test_a_client_that_goes_away_ends_its_query(served: Served, query: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
    connection.request("POST", "/", query)
    assert runs(served.url, "endless", 1)
    connection.close()
    assert runs(served.url, "endless", 0)


def test_an_insert_that_breaks_off_writes_nothing(served: Served, table: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
    connection.putrequest("POST", f"/?query=INSERT+INTO+{table}+(id)+FORMAT+TSV")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"1\n2\n")
    connection.close()
    time.sleep(0.2)
    assert ask(served.url, f"SELECT count() FROM {table}").text == "0\n"


def test_a_second_process_on_the_same_directory_is_refused_in_one_line(served: Served) -> None:
    argv = command(served.path, free_port())
    second = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert second.returncode == 1
    assert second.stderr == f"embedded ClickHouse: {served.path} is in use by another process\n"


def test_a_taken_port_is_refused_in_one_line(served: Served, tmp_path: Path) -> None:
    argv = command(tmp_path / "other", served.port)
    second = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert f"127.0.0.1:{served.port}" in second.stderr


def test_sigterm_lets_a_running_query_finish_and_exits_with_zero(tmp_path: Path) -> None:
    with running(tmp_path / "data") as served:
        replies: list[Reply] = []
        query = "SELECT sum(sleepEachRow(0.1)) AS slow FROM numbers(20) SETTINGS max_block_size = 1"
        asking = threading.Thread(target=lambda: replies.append(ask(served.url, query)))
        asking.start()
        assert runs(served.url, "slow", 1)
        assert served.stop() == 0
        asking.join()
        assert replies[0].text == "0\n"
        assert served.stderr.read_text() == ""


def test_sigterm_ends_a_query_that_does_not_finish(tmp_path: Path) -> None:
    with running(tmp_path / "data") as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
        connection.request("POST", "/", _ENDLESS)
        assert runs(served.url, "endless", 1)
        assert served.stop() == 0
        connection.close()


def test_acknowledged_rows_survive_a_kill(tmp_path: Path) -> None:
    acknowledged = 0
    with running(tmp_path / "data") as served:
        ask(served.url, "CREATE TABLE kept (id UInt64) ENGINE = MergeTree ORDER BY id")
        fsync = "SELECT sum(toUInt8(value)) FROM system.merge_tree_settings WHERE name LIKE 'fsync%'"
        assert ask(served.url, fsync).text == "2\n", "fsync_after_insert and fsync_part_directory are on"

        def load() -> None:
            nonlocal acknowledged
            while True:
                try:
                    assert ask(served.url, f"INSERT INTO kept VALUES ({acknowledged})").status == 200
                except OSError:
                    return
                except http.client.HTTPException:
                    return
                acknowledged += 1

        loading = threading.Thread(target=load)
        loading.start()
        while acknowledged <= 5 and loading.is_alive():
            time.sleep(0.01)
        served.process.kill()
        loading.join()
    assert acknowledged > 5
    with running(tmp_path / "data") as served:
        rows = ask(served.url, "SELECT count(), uniqExact(id) FROM kept").text.split()
        assert rows[0] == rows[1]
        assert int(rows[0]) - acknowledged in (0, 1), "all that was acknowledged, and perhaps the one in flight"


def test_waiting_for_a_server_that_is_not_there_ends() -> None:
    with pytest.raises(TimeoutError, match=r"did not answer within 0\.2 seconds"):
        wait_until_ready(f"http://127.0.0.1:{free_port()}", 0.2)


def test_help_shows_an_example() -> None:
    argv = [*command("x", 1)[:3], "--help"]
    shown = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    assert "python -m projections.embedded --path" in shown.stdout
