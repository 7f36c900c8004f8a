"""What the account API counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest


class Metrics:
    """Commands by kind and status, and how long their answers took."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._commands = Counter(
            "quarterhour_commands", "Commands by kind and HTTP status", ["kind", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "quarterhour_command_seconds", "From the request to its answer", registry=self._registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
        )  # fmt: skip

    def answered(self, kind: str, status: int, seconds: float) -> None:
        """One request for a command was answered."""
        self._commands.labels(kind, str(status)).inc()
        self._seconds.observe(seconds)

    def text(self) -> bytes:
        """The metrics as text."""
        return generate_latest(self._registry)
