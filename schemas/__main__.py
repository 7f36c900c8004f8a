"""`python -m schemas DIRECTORY`: write the JSON Schemas of all that is published, one a file, and `asyncapi.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from schemas.asyncapi import document
from schemas.export import json_schemas


def main(arguments: list[str]) -> int:
    """Write the files; the exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    directory = Path(arguments[0])
    directory.mkdir(parents=True, exist_ok=True)
    for name, schema in json_schemas().items():
        (directory / f"{name}.schema.json").write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")
    (directory / "asyncapi.json").write_text(json.dumps(document(), indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
