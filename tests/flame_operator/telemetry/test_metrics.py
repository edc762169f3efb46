"""What the operator measures, and that docs/metrics.md tells of it."""

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from flame_operator.errors import Conflict, InvalidSpec, Refused, Unavailable
from flame_operator.resource.kinds import Key
from flame_operator.telemetry.metrics import TRUTHS, Metrics, result_of
from tests.support.operator.metrics_page import OURS, documented


def families(metrics: Metrics) -> dict[str, Metric]:
    found = text_string_to_metric_families(metrics.render().decode())
    return {family.name: family for family in found}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(OURS + name, labels)


def test_the_page_and_the_registry_agree() -> None:
    registered = {}
    for collector in Metrics().registry._collector_to_names:
        if name := getattr(collector, "_name", None):
            kind = collector._type  # type: ignore[attr-defined]
            suffix = {"counter": "_total", "info": "_info"}.get(kind, "")
            registered[name + suffix] = (kind, tuple(collector._labelnames))  # type: ignore[attr-defined]
    assert documented() == registered
    assert len(registered) > 15


def test_the_process_itself_is_measured() -> None:
    found = families(Metrics(version="1.2.3"))
    assert {"process_resident_memory_bytes", "process_cpu_seconds"} <= set(found)
    assert found["flame_operator_build_info"].samples[0].labels == {"version": "1.2.3"}
    assert not [name for name in found if name.endswith("_created")]


def test_resources_are_counted_once_each_by_what_they_say_now() -> None:
    metrics = Metrics()
    one, two, three = (Key("team", name) for name in ("one", "two", "three"))
    for key in (one, two, three):
        metrics.set_readiness(key, "Unknown")
    metrics.set_readiness(one, "True")
    metrics.set_readiness(two, "False")
    metrics.set_readiness(two, "True")
    metrics.forget(three)
    metrics.forget(three)
    counted = {truth: value(metrics, "resources", ready=truth) for truth in TRUTHS}
    assert counted == {"True": 2, "False": 0, "Unknown": 0}


def test_what_happens_is_counted() -> None:
    metrics = Metrics()
    metrics.reconciled("ok", 0.2)
    metrics.retried()
    metrics.requested("patch", "services", "201", 0.1)
    metrics.event_seen("Service")
    metrics.swept(3)
    metrics.swept(None)
    metrics.verified("Answering", 0.01)
    metrics.show_rollouts(lambda: 4)
    metrics.event_written("written")
    assert value(metrics, "reconciles_total", result="ok") == 1
    assert value(metrics, "reconcile_duration_seconds_sum") == 0.2
    assert value(metrics, "queue_retries_total") == 1
    assert value(metrics, "events_total", result="written") == 1
    assert value(metrics, "api_requests_total", verb="patch", resource="services", code="201") == 1
    assert value(metrics, "api_request_duration_seconds_count", verb="patch", resource="services") == 1
    assert (value(metrics, "last_event_timestamp_seconds", kind="Service") or 0) > 1.7e9
    assert value(metrics, "sweeps_total", result="ok") == 1
    assert value(metrics, "sweeps_total", result="failed") == 1
    assert value(metrics, "sweep_missed_total") == 3
    assert (value(metrics, "last_sweep_timestamp_seconds") or 0) > 1.7e9
    assert value(metrics, "verifications_total", result="Answering") == 1
    assert value(metrics, "verification_duration_seconds_count") == 1
    assert value(metrics, "rollouts_waiting") == 4


def test_states_are_read_when_somebody_asks() -> None:
    metrics, leads = Metrics(), [True]
    metrics.show_leader(lambda: leads[0])
    metrics.show_queue(lambda: 7, lambda: 1.5)
    assert (value(metrics, "queue_depth"), value(metrics, "queue_oldest_age_seconds")) == (7, 1.5)
    assert value(metrics, "leader") == 1
    leads[0] = False
    assert value(metrics, "leader") == 0


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (None, "ok"),
        (InvalidSpec("x"), "user_error"),
        (Refused("x"), "user_error"),
        (Conflict("x"), "conflict"),
        (Unavailable("x"), "unavailable"),
        (KeyError("x"), "bug"),
    ],
)
def test_how_a_reconcile_is_counted(error: Exception | None, result: str) -> None:
    assert result_of(error) == result
