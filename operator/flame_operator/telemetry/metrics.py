"""Defines and counts the operator's Prometheus metrics.

docs/metrics.md explains each series, and a test keeps the two in step. No label holds anything that a tenant
chose, so the number of series is bounded.
"""

import time
from collections import Counter as Count
from collections.abc import Callable
from typing import Literal, get_args

import prometheus_client
from prometheus_client import Counter, Gauge, Histogram, Info
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from flame_operator.errors import Conflict, Unavailable, UserError
from flame_operator.resource.kinds import Key

# The `_created` series would double the number of series, and tell only when this process first counted.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the client's own gap

TRUTHS = ("True", "False", "Unknown")
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
RECONCILE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
VERIFICATION_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


Result = Literal["ok", "user_error", "conflict", "unavailable", "bug"]


def result_of(error: BaseException | None) -> Result:
    """The label `result` for a reconcile that ended with this error, or with none."""
    match error:
        case None:
            return "ok"
        case UserError():
            return "user_error"
        case Conflict():
            return "conflict"
        case Unavailable():
            return "unavailable"
        case _:
            return "bug"


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self, *, version: str = "unknown") -> None:
        self.registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self.registry)
        self._readiness: dict[Key, str] = {}
        self._ready_counts: Count[str] = Count()
        self._indexes: dict[Key, tuple[float, bool]] = {}
        self._add_work()
        self._add_requests()
        self._add_resources()
        self._add_process(version)

    def _add_work(self) -> None:
        self._queue_depth = self._gauge("queue_depth", "Resources that wait or are being reconciled")
        self._queue_age = self._gauge(
            "queue_oldest_age_seconds", "How long the resource that has waited longest has waited"
        )
        self._retries = self._counter(
            "queue_retries_total", "Resources put back into the queue because their reconcile failed"
        )
        self._reconciles = self._counter("reconciles_total", "Finished reconciles", "result")
        for result in get_args(Result):
            self._reconciles.labels(result)  # an alert sees the first bug only if there was a zero before
        self._reconcile_seconds = self._histogram(
            "reconcile_duration_seconds", "Duration of a reconcile", RECONCILE_SECONDS
        )

    def _add_requests(self) -> None:
        self._requests = self._counter(
            "api_requests_total",
            "Requests to the API server, except those of the watch",
            "verb",
            "resource",
            "code",
        )
        self._request_seconds = self._histogram(
            "api_request_duration_seconds",
            "Duration of a request to the API server, except those of the watch",
            REQUEST_SECONDS,
            "verb",
            "resource",
        )
        self._last_event = self._gauge(
            "last_event_timestamp_seconds", "Unix time of the last event from the watch", "kind"
        )
        self._sweeps = self._counter("sweeps_total", "Full lists of all watched objects", "result")
        self._missed = self._counter(
            "sweep_missed_total", "Changed resources that a sweep found and the watch had not reported"
        )
        self._last_sweep = self._gauge(
            "last_sweep_timestamp_seconds", "Unix time at which the last successful sweep ended"
        )

    def _add_resources(self) -> None:
        resources = self._gauge("resources", "FlameMCPServers by status of their condition Ready", "ready")
        for truth in TRUTHS:
            resources.labels(truth).set_function(lambda truth=truth: self._ready_counts[truth])  # type: ignore[misc]
        self._verifications = self._counter("verifications_total", "Checks of a running server", "result")
        self._verification_seconds = self._histogram(
            "verification_duration_seconds", "Duration of a check of a running server", VERIFICATION_SECONDS
        )
        self._ingestions = self._counter("ingestions_total", "Finished runs that load docs", "result")
        for result in ("ok", "user", "world", "held", "internal"):
            self._ingestions.labels(result)
        self._gauge("indexes_stale", "Indexes older than twice their schedule's interval").set_function(
            lambda: sum(stale for _, stale in self._indexes.values())
        )
        self._gauge("index_oldest_age_seconds", "Age of the oldest index").set_function(
            lambda: max((time.time() - loaded for loaded, _ in self._indexes.values()), default=0.0)
        )
        self._rollouts_waiting = self._gauge("rollouts_waiting", "Rollouts that wait for their turn")
        self._events = self._counter(
            "events_total", "Kubernetes Events that were written, refused or dropped", "result"
        )
        for result in ("written", "failed", "dropped"):
            self._events.labels(result)

    def _add_process(self, version: str) -> None:
        self._leader = self._gauge("leader", "1 while this process leads, else 0")
        info = Info("flame_operator_build", "The version that runs", registry=self.registry)
        info.info({"version": version})

    def render(self) -> bytes:
        """All series in Prometheus' text format."""
        return generate_latest(self.registry)

    def show_queue(self, depth: Callable[[], int], oldest_age: Callable[[], float]) -> None:
        """Read the queue's depth and its oldest age, in seconds, from these functions at every scrape."""
        self._queue_depth.set_function(depth)
        self._queue_age.set_function(oldest_age)

    def show_rollouts(self, waiting: Callable[[], int]) -> None:
        """Read the number of waiting rollouts from this function at every scrape."""
        self._rollouts_waiting.set_function(waiting)

    def show_leader(self, leading: Callable[[], bool]) -> None:
        """Read whether this process leads from this function at every scrape."""
        self._leader.set_function(lambda: float(leading()))

    def reconciled(self, result: str, seconds: float) -> None:
        """Count a finished reconcile; `result` comes from `result_of`."""
        self._reconciles.labels(result).inc()
        self._reconcile_seconds.observe(seconds)

    def retried(self) -> None:
        """Count a resource that was put back into the queue because its reconcile failed."""
        self._retries.inc()

    def requested(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """Count a finished API request; `code` is its HTTP status, or `none` when there was no answer."""
        self._requests.labels(verb, resource, code).inc()
        self._request_seconds.labels(verb, resource).observe(seconds)

    def event_seen(self, kind: str) -> None:
        """Note the time of an event from the watch."""
        self._last_event.labels(kind).set(time.time())

    def swept(self, missed: int | None) -> None:
        """Count a sweep.

        Args:
            missed: How many changed resources it found; None when it failed.
        """
        self._sweeps.labels("failed" if missed is None else "ok").inc()
        if missed is not None:
            self._missed.inc(missed)
            self._last_sweep.set_to_current_time()

    def set_readiness(self, key: Key, status: str) -> None:
        """Set the status of a resource's condition Ready, one of `TRUTHS`."""
        self._uncount(key)
        self._readiness[key] = status
        self._ready_counts[status] += 1

    def forget(self, key: Key) -> None:
        """Stop counting a resource that has been deleted."""
        self._indexes.pop(key, None)
        self._uncount(key)

    def _uncount(self, key: Key) -> None:
        before = self._readiness.pop(key, None)
        if before is not None:
            self._ready_counts[before] -= 1

    def ingested(self, result: str) -> None:
        """Count a finished run that loads docs; `result` is `ok`, or whose fault the failure was."""
        self._ingestions.labels(result).inc()

    def set_index(self, key: Key, loaded: float | None, *, stale: bool) -> None:
        """Set when a resource's docs were last loaded.

        Args:
            key: The resource.
            loaded: Unix time; None when they never were.
            stale: Whether that is longer ago than twice the schedule's interval.
        """
        if loaded is None:
            self._indexes.pop(key, None)
        else:
            self._indexes[key] = (loaded, stale)

    def verified(self, result: str, seconds: float) -> None:
        """Count a finished check of a running server; `result` is the reason of its condition Verified."""
        self._verifications.labels(result).inc()
        self._verification_seconds.observe(seconds)

    def event_written(self, result: str) -> None:
        """Count a Kubernetes Event; `result` is `written`, `failed` or `dropped`."""
        self._events.labels(result).inc()

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"flame_operator_{name}", text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"flame_operator_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"flame_operator_{name}", text, labels, buckets=buckets, registry=self.registry)
