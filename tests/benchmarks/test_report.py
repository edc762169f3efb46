"""What the benchmark says about figures."""

import json
from dataclasses import replace

import pytest

from benchmarks.operator import profile
from benchmarks.operator.report import Phase, Result, as_json, as_text, checks
from benchmarks.operator.workload import Floor, Workload, spec_for

PHASE = Phase(
    seconds=11, cpu_seconds=1.0, writes=0, events=0, leases=3, refused=0, requests={"patch": 500, "list": 2}
)
RESULT = Result(
    resources=100,
    children=4,
    floors=(Floor(create=1, write=4, client_cpu=0.1), Floor(create=1, write=6, client_cpu=0.1)),
    floor_resources=50,
    create=replace(PHASE, writes=500),
    idle=PHASE,
    restart=PHASE,
    repair=replace(PHASE, writes=10),
    repaired=10,
    delete=PHASE,
    start_mib=70,
    peak_mib=90,
    restart_peak_mib=95,
)


def failed(result: Result) -> list[str]:
    return [check.name for check in checks(result) if not check.passed]


def test_good_figures_pass() -> None:
    assert failed(RESULT) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"create": replace(PHASE, writes=501)}, "writes per resource"),
        ({"create": replace(PHASE, writes=500, events=101)}, "events per resource"),
        ({"create": replace(PHASE, writes=500, seconds=13.1)}, "time over the floor's"),
        ({"create": replace(PHASE, writes=500, cpu_seconds=1.21)}, "CPU per resource"),
        ({"restart_peak_mib": 100.1}, "peak memory"),
        ({"idle": replace(PHASE, writes=1)}, "writes while idle"),
        ({"restart": replace(PHASE, writes=1)}, "writes after a restart"),
        ({"repair": replace(PHASE, writes=11)}, "writes per deleted Service"),
        ({"delete": replace(PHASE, writes=1)}, "writes after deletion of all"),
    ],
)
def test_each_target_can_be_missed(change: dict[str, object], name: str) -> None:
    assert failed(replace(RESULT, **change)) == [name]  # type: ignore[arg-type]


def test_many_resources_may_take_more_memory() -> None:
    many = replace(RESULT, resources=5000, peak_mib=159)
    assert failed(many) == []
    assert failed(replace(many, peak_mib=161)) == ["peak memory"]


def test_the_floor_is_scaled_to_all_resources() -> None:
    assert RESULT.floor_seconds == 10
    assert RESULT.floor_cpu_ms == 2


def test_both_forms_have_every_target() -> None:
    text, found = as_text(RESULT), json.loads(as_json(RESULT))
    for check in checks(RESULT):
        assert check.name in text
    assert [check["passed"] for check in found["checks"]] == [True] * len(checks(RESULT))
    assert "FAIL" not in text
    assert "FAIL" in as_text(replace(RESULT, peak_mib=101))


def test_resources_are_spread_over_namespaces() -> None:
    bodies = Workload(25, {}, "team").bodies
    places = [(body["metadata"]["namespace"], body["metadata"]["name"]) for body in bodies]
    assert len(set(places)) == 25
    assert {namespace for namespace, _ in places[:3]} == {"team-0", "team-1", "team-2"}


def test_the_default_spec_is_empty() -> None:
    assert spec_for("default") == {}


def test_a_profile_names_the_part_of_the_work() -> None:
    loop = ["flame_operator/commands/main.py run", "asyncio/base_events.py run_once"]
    stacks = [
        ([*loop, "kopf/worker.py work", "copy.py deepcopy"], 3),
        (
            [
                *loop,
                "flame_operator/reconcile/reconciler.py go",
                "flame_operator/api/kube.py apply",
                "ssl.py write",
            ],
            1,
        ),
        (loop, 4),
    ]
    text = profile.as_text(stacks, 8.0)
    assert "3.000  kopf" in text
    assert "1.000  requests" in text
    assert "4.000  asyncio" in text
    assert "3.000  copy.py deepcopy" in text
    assert "8.000  flame_operator/commands/main.py run" in text
