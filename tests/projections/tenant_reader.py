"""Reads a data directory as one workspace's reader would: the engine in this process, its only user under row policies.

`python -m tests.projections.tenant_reader DIRECTORY DATABASE FILTER TABLES QUERIES`, the last two as JSON lists; prints
one JSON list of the answers, each a list of rows of text, or the error.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

_USERS = """<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default><password></password>
<networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
<databases><{database}>{tables}</{database}></databases></default></users></clickhouse>"""


def main(directory: str, database: str, condition: str, tables: list[str], queries: list[str]) -> list[object]:
    """The answers to the queries under the same policy on every table."""
    import chdb

    policies = "".join(f"<{table}><filter>{escape(condition)}</filter></{table}>" for table in tables)
    with tempfile.TemporaryDirectory() as folder:
        users, config = Path(folder) / "users.xml", Path(folder) / "config.xml"
        users.write_text(_USERS.format(database=database, tables=policies))
        config.write_text(f"<clickhouse><users_config>{users}</users_config></clickhouse>")
        connection = chdb.connect(f"{directory}?config-file={config}")
        connection.query(f"USE `{database}`")
        found: list[object] = []
        for query in queries:
            try:
                text = bytes(connection.query(query, "JSONCompactEachRow").bytes()).decode()
                found.append([json.loads(line) for line in text.splitlines()])
            except Exception as error:  # whatever the engine says is the answer
                found.append(str(error))
        connection.close()
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4]), json.loads(sys.argv[5]))))
