"""An operator in memory: a reconciler with all that it uses, over `FakeKube`."""

import copy
from typing import Any

from flame_operator.changes.apply import Applier
from flame_operator.changes.children import Children
from flame_operator.desired.children import desired_children
from flame_operator.desired.inputs import Defaults
from flame_operator.diagnosis.diagnosis import Diagnosis
from flame_operator.informer.cache import Cache
from flame_operator.informer.sweep import sweep
from flame_operator.ingestion.pipeline import Pipeline
from flame_operator.ingestion.turns import Turns
from flame_operator.reconcile.reconciler import Reconciler
from flame_operator.reconcile.resolver import Resolver
from flame_operator.references.digests import Digests
from flame_operator.references.lookup import References
from flame_operator.resource.installation import ALONE, Installation
from flame_operator.resource.kinds import DEPLOYMENT, SERVER, SERVICE, Key, Manifest
from flame_operator.resource.server import parse_server
from flame_operator.rollouts.pacer import Pacer
from flame_operator.rollouts.rollouts import Rollouts
from flame_operator.status.events import Event
from flame_operator.status.reporter import Reporter
from flame_operator.telemetry.metrics import Metrics
from flame_operator.verification.verdict import Target, Verdict
from flame_operator.verification.verification import Verification
from tests.support.operator.fake_kube import FakeKube, server

KEY = Key("team", "docs")
KINDS = [child["kind"] for child in desired_children(parse_server(server()), Defaults(image="image:1"))]
FIRST_WRITES = [*(f"apply {kind}" for kind in KINDS), "status"]


class FakeVerifier:
    """Knows what the test tells it."""

    def __init__(self) -> None:
        self.wanted: dict[Key, Target] = {}
        self.known_good: dict[Key, bool] = {}
        self.verdicts: dict[Key, Verdict] = {}

    def want(self, key: Key, target: Target, *, known_good: bool) -> None:
        self.wanted[key], self.known_good[key] = target, known_good

    def drop(self, key: Key) -> None:
        self.wanted.pop(key, None)

    def verdict(self, key: Key) -> Verdict | None:
        return self.verdicts.get(key)


class FakeRecorder:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, server: Manifest, event: Event) -> None:
        assert server["kind"] == SERVER.kind
        self.events.append(event)


class Operator:
    """One process: what it knows is gone when it ends, what it wrote is not."""

    def __init__(self, kube: FakeKube, installation: Installation = ALONE) -> None:
        self.kube, self.cache = kube, Cache()
        self.turns: list[Key] = []
        self.verifier, self.recorder = FakeVerifier(), FakeRecorder()
        self.digests = Digests(b"k" * 32)
        self.references = References(kube, self.digests, self.turns.append)
        self.pacer = Pacer(1, self.turns.append)
        self.rollouts = Rollouts(self.pacer)
        self.now = "2026-01-01T00:00:00Z"
        self.seconds = 0.0
        """The time of the clock by which turns to load docs end, and Events count."""
        self.defaults = Defaults(image="image:1")
        children = Children(kube, self.cache)
        self.loads = Turns(10, self.turns.append, lambda: self.seconds)
        diagnosis = Diagnosis(kube, lambda: self.seconds)
        self.pipeline = Pipeline(kube, self.cache, self.loads, diagnosis, Metrics())
        self.reconcile = Reconciler(
            cache=self.cache,
            defaults=lambda: self.defaults,
            children=children,
            resolver=Resolver(self.references, self.rollouts, children, self.digests),
            applier=Applier(kube, self.cache, children),
            pipeline=self.pipeline,
            verification=Verification(self.verifier),  # type: ignore[arg-type]
            diagnosis=diagnosis,
            reporter=Reporter(kube, self.cache, self.recorder, installation, now=lambda: self.now),  # type: ignore[arg-type]
            now=lambda: self.now,
        )

    async def start(self) -> None:
        await sweep(self.kube, self.cache)

    async def settle(self) -> float | None:
        """Passes until one writes nothing."""
        for _ in range(10):
            before = len(self.kube.writes)
            again = await self.reconcile(KEY)
            if len(self.kube.writes) == before:
                return again
        raise AssertionError(f"never comes to rest: {self.kube.writes}")


async def running(kube: FakeKube) -> Operator:
    operator = Operator(kube)
    await operator.start()
    await operator.settle()
    return operator


def with_server(**spec: Any) -> FakeKube:  # noqa: ANN401 - JSON
    kube = FakeKube()
    kube.create(server(**spec))
    return kube


def with_pods(kube: FakeKube, operator: Operator, pods: int = 2) -> None:
    """The controllers have made the pods, and the Service has its address."""
    service, deployment = kube.objects[SERVICE.kind, KEY], kube.objects[DEPLOYMENT.kind, KEY]
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), pods)
    spec = {**deployment["spec"], "replicas": max(pods, 2)}
    complete = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
    status = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "conditions": [complete],
        **counts,
    }
    operator.cache.put(kube.edit(SERVICE.kind, KEY, spec={**service["spec"], "clusterIP": "10.0.0.7"}))
    operator.cache.put(kube.edit(DEPLOYMENT.kind, KEY, spec=spec, status=status))


def conditions(kube: FakeKube, key: Key = KEY) -> dict[str, tuple[str, str]]:
    found = kube.objects[SERVER.kind, key]["status"]["conditions"]
    return {one["type"]: (one["status"], one["reason"]) for one in found}


def children(kube: FakeKube) -> dict[str, Manifest]:
    """The children less what differs from run to run."""
    found = {}
    for (kind, _), body in sorted(kube.objects.items()):
        if kind != SERVER.kind:
            plain = copy.deepcopy(body)
            del plain["metadata"]["resourceVersion"], plain["metadata"]["uid"]
            found[kind] = plain
    return found
