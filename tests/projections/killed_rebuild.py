"""A rebuild of the funded world that kills itself: `python -m tests.projections.killed_rebuild URL STAGE STEP`.

It has readers of its own, and leaves them behind.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from projections.loader.loading import LoadPolicy
from projections.rebuild import Progress, rebuild
from projections.rebuilding.readers import Readers
from tests.projections.fake_source import LogSource
from tests.projections.funded_world import funded_world

if __name__ == "__main__":
    url, stage, step = sys.argv[1], sys.argv[2], int(sys.argv[3])

    def tell(progress: Progress) -> None:
        """Die with -9 at that step of that stage."""
        if progress.stage == stage and progress.done >= step:
            os.kill(os.getpid(), signal.SIGKILL)

    policy = LoadPolicy(enough_records=5, most_records=10, linger_seconds=0.01)
    readers = Readers((sys.executable, "-m", "tests.projections.log_reader"), least_records=1)
    asyncio.run(rebuild(url, LogSource(funded_world().log, 7), policy=policy, tell=tell, readers=readers))
