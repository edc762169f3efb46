"""Attack H1: a tenant takes all turns to load docs and never gives them back."""

import pytest

from flame_operator.ingestion.turns import LONGEST_SECONDS
from flame_operator.resource.kinds import JOB, Key, Manifest
from tests.support.operator.tenants import LOADS, NO_NODE, STARTS, WORKS, Tenants

HONEST = Key("honest", "docs-0")
NOWHERE = LOADS | {"scheduling": {"nodeSelector": {"no": "such-node"}}}


async def test_ten_resources_that_no_node_takes_delay_nobody() -> None:
    """Row 1: ten resources with an impossible nodeSelector and a deadline of a day."""
    town = Tenants()
    evil = town.add("evil", servers=10, **NOWHERE)
    await town.reconcile(*evil)
    assert len(town.runs(*evil)) == 7
    (honest,) = town.add("honest")
    await town.reconcile(honest)
    assert town.runs(honest) == [honest]


@pytest.mark.parametrize(("status", "seconds"), [(NO_NODE, 30), (STARTS, 90), (WORKS, LONGEST_SECONDS + 30)])
async def test_three_namespaces_that_never_end_give_their_turns_back(
    status: Manifest, seconds: float
) -> None:
    """Row 1 from three namespaces, which hold all turns together; their pods wait, or work for a day."""
    town = Tenants()
    evil = [
        key
        for number, servers in enumerate((7, 2, 1))
        for key in town.add(f"evil-{number}", servers=servers, **NOWHERE)
    ]
    await town.reconcile(*evil)
    (honest,) = town.add("honest")
    await town.reconcile(honest)
    assert town.runs(*evil, honest) == evil
    for key in evil:
        town.pod(key, status)
    await town.later(seconds, *evil, honest)
    assert town.runs(honest) == [honest]


async def test_brackets_in_a_termination_message_end_the_run() -> None:
    """Row 2: `[` four thousand times in the message raised RecursionError before the turn was given back."""
    town = Tenants()
    evil = town.add("evil")[0]
    await town.reconcile(evil)
    for kind in ("Complete", "Failed"):
        town.end(evil, "[" * 4000, kind=kind)
        await town.reconcile(evil)
        assert town.operator.loads.held == frozenset()


async def test_a_turn_is_given_back_whatever_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    town = Tenants()
    evil = town.add("evil")[0]
    await town.reconcile(evil)
    assert town.operator.loads.held == {evil}

    async def fail(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr("flame_operator.ingestion.pipeline.Pipeline._look", fail)
    with pytest.raises(RecursionError):
        await town.reconcile(evil)
    assert town.operator.loads.held == frozenset()


async def test_a_job_that_can_not_be_created_takes_no_turn() -> None:
    town = Tenants()
    evil = town.add("evil")[0]
    town.kube.fail["apply Job"] = RuntimeError("anything")
    with pytest.raises(RuntimeError):
        await town.reconcile(evil)
    assert town.operator.loads.held == frozenset()


async def test_a_deleted_resource_gives_its_turn_and_its_place_back() -> None:
    town = Tenants()
    evil = town.add("evil", servers=9, **NOWHERE)
    await town.reconcile(*evil)
    assert (len(town.operator.loads.held), town.operator.loads.waiting) == (7, 2)
    for key in evil:
        town.remove(key)
    await town.reconcile(*evil)
    assert (len(town.operator.loads.held), town.operator.loads.waiting) == (0, 0)


async def test_a_new_operator_counts_the_runs_that_it_finds() -> None:
    town = Tenants()
    working = [key for number in range(4) for key in town.add(f"team-{number}", servers=5)]
    await town.reconcile(*working)
    runs = town.runs(*working)
    assert len(runs) == 10
    town.operator = type(town.operator)(town.kube)
    await town.operator.start()
    for key in working:
        town.operator.pipeline.resume(key, town.operator.now)
    await town.reconcile(*reversed(working))
    assert town.runs(*working) == runs


async def test_who_waits_says_so() -> None:
    town = Tenants()
    evil = town.add("evil", servers=8, **NOWHERE)
    await town.reconcile(*evil)
    found = town.conditions(evil[7])
    assert found["IndexReady"] == ("False", "Ingesting")
    assert found["Reconciling"] == ("True", "WaitingForTurn")


def test_jobs_of_tenants_are_told_apart_from_runs() -> None:
    """A Job that a tenant has made, with the marks of a run and a text that no status has room for."""
    town = Tenants()
    (key,) = town.add("evil")
    body = {
        "kind": JOB.kind,
        "metadata": {
            "name": f"{key.name}-ingest-12345678", "namespace": "evil",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {
                "flamemcp.dev/task": "ingest", "flamemcp.dev/trigger": "x" * 100_000,
                "flamemcp.dev/inputs": "y" * 100_000, "flamemcp.dev/attempt": "9" * 5000,
            },
            "ownerReferences": [
                {"kind": "FlameMCPServer", "name": key.name, "controller": True, "uid": "uid-evil-docs-0"}
            ],
        },
    }  # fmt: skip
    town.operator.cache.put(town.kube.create(body))
    town.operator.pipeline.resume(key, town.operator.now)
    assert town.operator.loads.held == {key}
