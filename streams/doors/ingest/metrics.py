"""What the ingest counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class IngestMetrics:
    """One registry an application, so that several may live in one process."""

    def __init__(
        self, in_flight_bytes: Callable[[], float], stalled: Callable[[], float], keys_age: Callable[[], float]
    ) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "quarterhour_ingest_requests", "Requests by status", ["status"], registry=self._registry
        )
        self._events = Counter("quarterhour_ingest_events", "Events by result", ["result"], registry=self._registry)
        self._seconds = Histogram(
            "quarterhour_ingest_seconds", "From request to answer", buckets=_SECONDS, registry=self._registry
        )
        for name, words, read in (
            ("quarterhour_ingest_in_flight_bytes", "Bytes of requests held now", in_flight_bytes),
            ("quarterhour_ingest_stalled_seconds", "Age of the oldest unacknowledged event", stalled),
            ("quarterhour_ingest_keys_age_seconds", "Since the view of keys was last known current", keys_age),
        ):
            Gauge(name, words, registry=self._registry).set_function(read)

    def answered(self, status: int, seconds: float) -> None:
        """Count one answer."""
        self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def events(self, accepted: int, refused: int, unknown: int) -> None:
        """Count results."""
        for result, count in (("accepted", accepted), ("refused", refused), ("unknown", unknown)):
            if count:
                self._events.labels(result).inc(count)

    def render(self) -> bytes:
        """The text format."""
        return generate_latest(self._registry)
