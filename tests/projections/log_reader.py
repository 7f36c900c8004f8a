"""A reader of the funded world's log: `python -m tests.projections.log_reader [FETCHES | away]`.

With a number, the one whose lane has the first partition of the ledger kills itself with -9 after so many fetches; with
`away` it says that it cannot read.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from projections.loader.records import Run, SourceFault, TopicPartition
from projections.rebuilding.reader import read_as_told
from schemas.topics import LEDGER
from tests.projections.fake_source import LogSource
from tests.projections.funded_world import funded_world


class _Dying(LogSource):
    fetches = -1

    async def start(self, positions: Mapping[TopicPartition, int | None]) -> None:
        if TopicPartition(LEDGER, 0) in positions and len(sys.argv) > 1:
            if sys.argv[1] == "away":
                raise SourceFault("the log is away")
            self.fetches = int(sys.argv[1])
        await super().start(positions)

    async def fetch(self, max_records: int, timeout_seconds: float) -> list[Run]:
        if not self.fetches:
            os.kill(os.getpid(), signal.SIGKILL)
        self.fetches -= 1
        return await super().fetch(max_records, timeout_seconds)


@asynccontextmanager
async def _source() -> AsyncIterator[LogSource]:
    yield _Dying(funded_world().log, 3)


if __name__ == "__main__":
    sys.exit(read_as_told(_source))
