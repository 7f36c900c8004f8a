"""How fast one partition posts: `python -m tests.accounts.bench_partition [charges] [workspaces]`.

Batches of 5,000 inbox records from bytes to outputs (decode, decide, seal, fold, encode), then changes and checkpoint.
"""

from __future__ import annotations

import gc
import sys
import time

from schemas.commands import InboxRecord
from tests.accounts.story import T0, Story, Teller, raw

BATCH = 5_000


def main(charges: int = 200_000, workspaces: int = 200) -> None:
    """Print postings a second of CPU, without and with the writing of state."""
    story, teller = Story(), Teller()
    facts: list[InboxRecord] = []
    for at in range(charges):
        start = T0 + at * 500_000
        facts.append(teller.unit(f"{at:032x}", start, workspace=f"w{at % workspaces}"))
        if at % 2_000 == 1_999:
            facts.append(teller.clock(start))
    records = raw(facts)
    gc.collect()
    gc.freeze()
    stepping = writing = 0.0
    outputs = written = 0
    for first in range(0, len(records), BATCH):
        began = time.process_time()
        outputs += len(story.machine.step(records[first : first + BATCH]))
        stepped = time.process_time()
        written += sum(len(value or b"") for _, value in story.machine.take_changes()) + len(story.machine.checkpoint())
        stepping += stepped - began
        writing += time.process_time() - stepped
    print(f"{charges:,} charges of {workspaces:,} workspaces, {outputs:,} outputs")
    print(f"{charges / stepping:,.0f} postings/s, {charges / (stepping + writing):,.0f} with state written")
    print(f"{written / charges:,.0f} bytes of state a posting")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
