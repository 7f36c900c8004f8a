"""When a crashed process is started again, and when that is given up.

Pure: the time is an argument. Guarantees: delays double from the first to the longest; a process that stayed healthy
for long enough starts with a clean slate; so many crashes in a row within the window mean giving up.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class RestartPolicy:
    first_delay_seconds: float = 0.5
    longest_delay_seconds: float = 15
    healthy_seconds: float = 60
    """So long a healthy life forgives all earlier crashes."""
    most_crashes: int = 10
    """The crash that makes it so many within the window is the last."""
    window_seconds: float = 300


@dataclass
class CrashHistory:
    """The crashes in a row of one process."""

    policy: RestartPolicy
    crashes: list[float] = field(default_factory=list)

    def crashed(self, now_seconds: float, healthy_for_seconds: float) -> float | None:
        """Note a crash; how long to wait before the next start, or None to give up."""
        if healthy_for_seconds >= self.policy.healthy_seconds:
            self.crashes.clear()
        self.crashes.append(now_seconds)
        recent = [moment for moment in self.crashes if now_seconds - moment <= self.policy.window_seconds]
        if len(recent) >= self.policy.most_crashes:
            return None
        doublings = min(len(self.crashes) - 1, 32)
        return float(min(self.policy.first_delay_seconds * 2**doublings, self.policy.longest_delay_seconds))
