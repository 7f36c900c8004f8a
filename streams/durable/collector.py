"""Python's garbage collector in a worker: what is there after the start stays, and what comes makes no cycles to find.

At its default thresholds the collector costs about 1 µs an event: it looks through everything alive again and again.
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 50_000


def calm() -> None:
    """Take what is alive now out of the collector's sight, and let it look less often. Memory is still freed."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 100)
