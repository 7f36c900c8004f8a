"""Random account histories against a second, naive model of an account: `python -m scripts.histories --count 100000`.

Example: `python -m scripts.histories --count 2000 --seed 1 --json scripts/benchmarks/histories.json`. A history is a
few dozen units, commands and steps of the clock; after each of them everything that somebody could see is compared
(the list is `tests/accounts/comparing.py`). Needs the checkout: second model and histories live with the tests.
Exit code 1 if there is any difference.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

SHOWN = 20
"""Differences that are kept in words; all are counted."""
EVERY = 1_000
"""After so many histories the result so far is written."""


def run(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Compare the histories of so many seeds from one on; what was found so far, now and then and at the end."""
    from tests.accounts.comparing import differences

    found: list[str] = []
    began = time.monotonic()
    with Progress(*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task("histories", total=count)
        for done in range(1, count + 1):
            difference = differences(seed + done - 1)
            if difference:
                found.append(difference)
                progress.console.print(difference, markup=False)
            progress.advance(task)
            if done % EVERY == 0 or done == count:
                seconds = round(time.monotonic() - began)
                yield {
                    "histories": done, "asked_for": count, "first_seed": seed, "differences": len(found),
                    "seconds": seconds, "found": found[:SHOWN],
                }  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run as asked for, print the result as JSON, and write it where asked for; the exit code."""
    words = (__doc__ or "").replace("`", "")
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="how many histories (default 100,000)")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the first; the next one has the next seed")
    parser.add_argument("--json", type=Path, help="also write the result to this file, as far as it is, now and then")
    given = parser.parse_args(arguments)
    if given.count < 1:
        parser.error(f"--count: {given.count} is no number of histories; it must be at least 1")
    text = ""
    differences = 0
    for result in run(given.count, given.seed):
        text, differences = json.dumps(result, indent=2), result["differences"]
        if given.json is not None:
            given.json.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
