"""The numbers at ``/metrics``: counted by all serving processes together, and by the record itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from cajanegra.recording.backlog import Backlog
from cajanegra.storage.totals import Totals

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of the directory in which processes count together; the library reads it on import."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters and gauges of one application.

    Where several processes serve, what each counts is in files that they share (the library's multiprocess
    mode), so that any of them tells the numbers of all, and those of one that has died are kept. Gauges are
    looked up when they are asked for, and need no sharing.

    Args:
        clock: seconds since the Unix epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.before_telling: Callable[[], None] = lambda: None
        """Counts what waits to be counted; called before the numbers are told."""
        self._clock = clock
        self._registry = CollectorRegistry()
        self._requests = self._counter(
            "http_requests", "HTTP requests answered.", "method", "operation", "status"
        )
        self._seconds = Histogram(
            "cajanegra_http_request_seconds",
            "Seconds that HTTP requests took, streams to their end.",
            ["operation"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._of_requests: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self.refused_keys = self._counter("refused_keys", "Keys and sessions that did not hold.")
        self._calls = self._counter("calls", "Calls written since the server started.", "provider", "status")
        self._call_seconds = self._counter("call_seconds", "Seconds that these calls took.", "provider")
        self._tokens = self._counter("call_tokens", "Tokens of their answers.", "provider")
        self._failures = self._counter("failures", "Failed attempts of these calls.", "provider", "kind")
        self._recoveries = self._counter("recoveries", "Recovery steps.", "strategy", "successful")

    def note_request(self, method: str, operation: str, status: int, seconds: float) -> None:
        """Count an HTTP request; one without a status was cut off."""
        kind = (method if method in _METHODS else "other", operation, str(status or "none"))
        counters = self._of_requests.get(kind)
        if counters is None:
            counters = self._requests.labels(*kind), self._seconds.labels(operation)
            self._of_requests[kind] = counters
        counters[0].inc()
        counters[1].observe(seconds)

    def add(self, totals: Totals) -> None:
        """Count what has come into the record."""
        for (provider, status), count in totals.calls.items():
            self._calls.labels(provider, status).inc(count)
        for provider, milliseconds in totals.milliseconds.items():
            self._call_seconds.labels(provider).inc(max(milliseconds, 0) / 1000)
        for provider, tokens in totals.tokens.items():
            self._tokens.labels(provider).inc(max(tokens, 0))
        for (provider, kind), count in totals.failures.items():
            self._failures.labels(provider, kind).inc(count)
        for (strategy, successful), count in totals.recoveries.items():
            self._recoveries.labels(strategy, str(successful).lower()).inc(count)

    def text(self, backlog: Backlog | None, *, database_up: bool) -> bytes:
        """Everything, as Prometheus reads it.

        Args:
            backlog: of the spool; ``None`` where it cannot be read.
            database_up: whether the record could be read.
        """
        self.before_telling()
        counted = self._registry
        if directory := os.environ.get(DIRECTORY):
            counted = CollectorRegistry()
            MultiProcessCollector(counted, directory)  # type: ignore[no-untyped-call]
        looked_up = CollectorRegistry()
        looked_up.register(_Once(self._looked_up(backlog, database_up=database_up)))
        return generate_latest(counted) + generate_latest(looked_up)

    def _looked_up(self, backlog: Backlog | None, *, database_up: bool) -> Iterator[Metric]:
        yield GaugeMetricFamily("cajanegra_database_up", "Whether the database answers.", int(database_up))
        if backlog is None:
            return
        oldest = backlog.oldest_at
        lag = 0.0 if oldest is None else max(self._clock() - oldest, 0.0)
        waiting = "Bytes of events that wait for the database."
        yield GaugeMetricFamily("cajanegra_spool_bytes", waiting, backlog.bytes)
        yield GaugeMetricFamily("cajanegra_writer_lag_seconds", "Age of the oldest of them.", lag)
        refused = "Records the database refused, kept in quarantine."
        yield GaugeMetricFamily("cajanegra_refused_records", refused, backlog.quarantined_records)
        for name, text, value in (
            (
                "dropped_calls",
                "Calls that the spool had no room for, since it was made.",
                backlog.dropped_calls,
            ),
            ("dropped_events", "Other events that it had no room for.", backlog.dropped_events),
            ("lost_contents", "Texts lost before they were masked.", backlog.lost_contents),
        ):
            yield CounterMetricFamily(f"cajanegra_{name}", text, value)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"cajanegra_{name}", text, labels, registry=self._registry)


class _Once(Collector):
    """Values that were looked up already."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = [*found]

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        return self._found
