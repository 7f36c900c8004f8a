"""`python -m scripts.healthy URL`: exit code 0 when the address answers 200 in time. For health checks.

The image has no curl, and should have none.
"""

from __future__ import annotations

import sys

import httpx

TIMEOUT_SECONDS = 4.0


def main(arguments: list[str]) -> int:
    """0 when it answers 200; 1, with the reason on stderr, when not; 2 when called wrongly."""
    if len(arguments) != 1:
        print("usage: python -m scripts.healthy URL", file=sys.stderr)
        return 2
    try:
        answer = httpx.get(arguments[0], timeout=TIMEOUT_SECONDS)
    except httpx.HTTPError as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 1
    if answer.status_code != 200:
        print(f"{arguments[0]} answered {answer.status_code}: {answer.text[:500]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
