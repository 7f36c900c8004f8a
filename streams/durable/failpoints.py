"""Fail-points: the process dies after a chosen step of the protocol, as `kill -9` would have it (spec: section 6).

Set by `QUARTERHOUR_FAIL_POINT=<step>:<n>`: die after that step of the n-th batch of this process. Steps are `outputs`,
`state`, `position`, `offset`; MAILER has steps of its own. Unset in production.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from schemas.errors import ConfigurationError

STEPS = ("outputs", "state", "position", "offset")


class FailPoint:
    """Counts down to the chosen step; does nothing when none is chosen."""

    def __init__(self, spec: str, steps: Sequence[str] = STEPS) -> None:
        self._step = ""
        self._left = 0
        if spec:
            step, _, count = spec.partition(":")
            if step not in steps or not count.isdigit():
                raise ConfigurationError(
                    f"QUARTERHOUR_FAIL_POINT={spec!r}: give <step>:<n>, step one of {', '.join(steps)}"
                )
            self._step, self._left = step, int(count)

    def passed(self, step: str, in_flight: int = 0) -> None:
        """A step is done, with so many batches of the partition in flight; dies here if it is the chosen one."""
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                self.die(step, in_flight)

    def die(self, step: str, in_flight: int) -> None:
        """End the process as `kill -9` would."""
        sys.stderr.write(f"fail-point: dying after {step} with {in_flight} batches in flight\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)
