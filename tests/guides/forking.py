"""`python -m tests.guides.forking SOCKET`: the command line, imported once, run by a fork for each call.

A guide has dozens of commands, and each would spend a second importing. `PROGRAM` is what stands for `quarterhour` on
PATH: it hands over its arguments, folder, environment and standard files, and ends as the command does. After a command
that others hear of it waits until they have, as people do who type.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
import traceback

import httpx

PROGRAM = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as there:
    there.connect({address!r})
    given = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(there, [len(given).to_bytes(4, "big")], [0, 1, 2])
    there.sendall(given)
    told = there.recv(1)
sys.exit(told[0] if told else 97)
"""


def main(address: str) -> None:
    """Serve until SIGTERM."""
    from scripts import cli

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    os._exit(_serve(connection, cli.main))


def _serve(connection: socket.socket, run: object) -> int:
    """In the child: become the caller, run, and tell the exit code."""
    head, files, _, _ = socket.recv_fds(connection, 4, 3)
    size, body = int.from_bytes(head, "big"), b""
    while len(body) < size:
        body += connection.recv(size - len(body))
    arguments, folder, environment = json.loads(body)
    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["quarterhour", *arguments]
    assert callable(run)
    code: object = 0
    try:
        code = run()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    told = int(code) if isinstance(code, int) else 0
    if told == 0:
        _await_others(arguments)
    connection.sendall(bytes([told & 0xFF]))
    return told


def _await_others(arguments: list[str]) -> None:
    """What an account was told is in ClickHouse, and the ingest knows a new key."""
    from schemas.settings import Settings
    from scripts.commands import running, running_address
    from scripts.doors import INGEST
    from scripts.drain import reach

    if arguments[0] == "account" and not {"show", "answer", "simulate", "--help"} & set(arguments):
        asyncio.run(reach(running(Settings()), 200))
    if arguments[:2] == ["keys", "create"]:
        made, metrics = time.monotonic(), f"{running_address(Settings(), INGEST)}metrics"
        while True:
            (age,) = re.findall(r"^quarterhour_ingest_keys_age_seconds (\S+)$", httpx.get(metrics).text, re.MULTILINE)
            if float(age) < time.monotonic() - made:
                return
            time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1])
