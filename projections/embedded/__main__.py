"""Command line of the embedded ClickHouse: ``python -m projections.embedded``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from projections.embedded.engine import DirectoryInUseError
from projections.embedded.errors import ClickHouseError
from projections.embedded.serving import CannotListenError, Options, serve

_EXAMPLE = """example:
  python -m projections.embedded --path data/clickhouse --port 8123 --readonly-port 8124
  curl 'http://127.0.0.1:8123/?query=SELECT+version()'
"""


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and serve; the exit code is 0 after a signal, 1 where it could not start."""
    parser = argparse.ArgumentParser(
        prog="python -m projections.embedded",
        description="Serve an embedded ClickHouse over ClickHouse's HTTP interface. There is no authentication.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--path", type=Path, required=True, help="data directory, created where missing")
    parser.add_argument("--port", type=int, required=True, help="TCP port for reading and writing")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--database", default="quarterhour", help="created, and a request's default (%(default)s)")
    parser.add_argument("--readonly-port", type=int, help="a second TCP port, for reading only")
    parser.add_argument("--no-fsync", action="store_true", help="leave acknowledged inserts to the page cache")
    parser.add_argument("--readers", type=int, default=8, help="queries at once on each port (default: %(default)s)")
    parser.add_argument("--writers", type=int, default=8, help="other statements at once (default: %(default)s)")
    parser.add_argument("--grace", type=int, default=5, help="seconds to finish statements at the end (%(default)s)")
    given = parser.parse_args(arguments)
    options = Options(
        path=given.path,
        port=given.port,
        host=given.host,
        database=given.database,
        readonly_port=given.readonly_port,
        fsync=not given.no_fsync,
        readers=given.readers,
        writers=given.writers,
        grace_seconds=given.grace,
    )
    try:
        return serve(options)
    except (CannotListenError, OSError, DirectoryInUseError, ClickHouseError) as error:
        print(f"embedded ClickHouse: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
