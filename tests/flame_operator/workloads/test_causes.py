"""What pods, claims and Events say, and the sentence that users get."""

import pytest

from flame_operator.resource.kinds import Manifest
from flame_operator.workloads.causes import (
    QDRANT_PODS,
    RUN_PODS,
    SERVER_PODS,
    Cause,
    is_pending,
    refusal,
    unready,
    waits_for_volume,
    why_no_pod,
    why_no_start,
    why_no_volume,
    why_not_ready,
    why_small,
)
from tests.support.operator.pods import (
    FIRST,
    LATER,
    READY,
    SCHEDULED,
    claim,
    crashed,
    ended,
    event,
    no_node,
    pod,
    runs,
    waiting,
)

NOT_FOUND = (
    'Back-off pulling image "flame:1": ErrImagePull: rpc error: code = NotFound desc = '
    'failed to pull and unpack image "registry.example/flame:1": registry.example/flame:1: not found'
)
NO_ANSWER = "failed to do request: Head https://registry.example: dial tcp 10.0.0.1:443: i/o timeout"
NO_IMAGE = "The image flame:1 can't be pulled: check its name, spec.imagePullSecrets and the registry."
LAST_WORDS = "ERROR qdrant::startup: Panic in file main.rs at line 5: Permission denied (os error 13)"
PANIC = (
    "2026-11-30T21:30:00.123456Z  INFO storage: Loading\n"
    "2026-11-30T21:30:01.654321Z ERROR qdrant::startup: Panic in file main.rs at line 5: Permission denied "
    "(os error 13)\n"
    "stack backtrace:\n"
)
NO_ROOM = (
    "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient memory. preemption: 0/3 nodes are."
)


@pytest.mark.parametrize(
    ("container", "said", "needs_user"),
    [
        (waiting("ImagePullBackOff", NOT_FOUND), NO_IMAGE, True),
        (waiting("ErrImagePull", NOT_FOUND), NO_IMAGE, True),
        (waiting("ImagePullBackOff", 'Back-off pulling image "flame:1"'), NO_IMAGE, True),
        (waiting("InvalidImageName"), NO_IMAGE, True),
        (
            waiting("ErrImagePull", NO_ANSWER),
            "The image flame:1 can't be pulled now: its registry doesn't answer as it should.",
            False,
        ),
        (
            waiting("CreateContainerConfigError", 'secret "a" not found'),
            'The container can\'t be created: secret "a" not found',
            True,
        ),
        (crashed(1), "The container server ended with exit code 1: see its log.", False),
        (
            crashed(101, PANIC, restarts=3),
            f'The container server ended with exit code 101: "{LAST_WORDS}".',
            True,
        ),
        (
            crashed(137, reason="OOMKilled", restarts=5),
            "The container server ran out of memory: raise spec.resources.limits.memory.",
            True,
        ),
        (
            crashed(137, reason="OOMKilled", name="mesh-proxy"),
            "The container mesh-proxy ran out of memory: raise its limit, where it is added.",
            False,
        ),
        # While it runs once more, the cause is still the same.
        (
            {**crashed(1, "boom", restarts=4), "state": {"running": {"startedAt": LATER}}},
            'The container server ended with exit code 1: "boom".',
            True,
        ),
    ],
    ids=[
        "back-off",
        "pull",
        "old-kubelet",
        "name",
        "registry",
        "config",
        "crash",
        "words",
        "memory",
        "foreign",
        "again",
    ],
)
def test_why_a_container_is_not_ready(container: Manifest, said: str, needs_user: bool) -> None:
    assert why_not_ready([pod(container)], SERVER_PODS) == Cause(said, needs_user)


@pytest.mark.parametrize(
    "healthy",
    [
        pod(runs()),
        pod(waiting("ContainerCreating"), conditions=(SCHEDULED,)),
        pod(waiting("PodInitializing"), init=(ended("istio-init"),)),
        pod(crashed(1), conditions=(READY,)),
        pod(crashed(1, ready=True)),
        pod(crashed(1), deletionTimestamp=LATER),
        pod(ended("publish"), phase="Succeeded"),
    ],
    ids=["running", "creating", "init", "ready-pod", "ready-container", "going", "done"],
)
def test_what_is_well_or_just_starts_tells_nothing(healthy: Manifest) -> None:
    assert why_not_ready([healthy], SERVER_PODS) is None


def test_an_init_container_of_others_tells_too() -> None:
    found = pod(
        waiting("PodInitializing"), init=(waiting("ImagePullBackOff", name="proxy", image="proxy:9"),)
    )
    cause = why_not_ready([found], SERVER_PODS)
    assert cause is not None
    assert "proxy:9 can't be pulled" in cause.message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            NO_ROOM,
            "0/5 nodes are available: 3 node(s) were unschedulable, 2 Insufficient memory. preemption: x.",
        ),
        (
            "0/1 nodes are available: 1 Insufficient memory.",
            "0/9 nodes are available: 9 Insufficient memory.",
        ),
    ],
    ids=["two-causes", "one-cause"],
)
def test_the_size_of_the_cluster_does_not_change_the_sentence(one: str, other: str) -> None:
    told = [why_not_ready([pod(conditions=(no_node(said),))], SERVER_PODS) for said in (one, other)]
    assert told[0] == told[1]
    assert told[0] is not None
    assert told[0].message.startswith("The pod can't be scheduled: ")
    assert "Insufficient memory" in told[0].message
    assert not told[0].needs_user


def test_pods_of_an_earlier_spec_say_nothing_about_a_deployment() -> None:
    old = pod(waiting("ImagePullBackOff"), name="docs-6d4-aaaaa")
    new = pod(waiting("ContainerCreating"), name="docs-7f5-bbbbb", created=LATER)
    assert why_not_ready([old, new], SERVER_PODS) is None
    # The pods of a StatefulSet have numbers, and it replaces them one by one.
    assert why_not_ready([old, new], QDRANT_PODS) is not None
    assert [one["metadata"]["name"] for one in unready([old, new], QDRANT_PODS)] == [
        "docs-7f5-bbbbb",
        "docs-6d4-aaaaa",
    ]


LIMIT = (
    'Error creating: pods "docs-ingest-1a2b3c4d-{}" is forbidden: maximum memory usage per Container '
    "is 600Mi, but limit is 1Gi"
)
QUOTA = (
    'Create Pod docs-qdrant-{0} in StatefulSet docs-qdrant failed error: pods "docs-qdrant-{0}" is '
    "forbidden: exceeded quota: tiny, requested: pods=1, used: pods={0}, limited: pods=1"
)


REFUSED = (
    "The cluster refuses to create pods: maximum memory usage per Container is 600Mi, but limit is 1Gi. "
    "Change spec.ingestion.resources so that it fits, or have the quota, the limits or the policy changed."
)


def test_what_keeps_pods_from_being_created_is_told_in_the_same_words_each_time() -> None:
    first, second = (
        why_no_pod([event("FailedCreate", LIMIT.format(name))], RUN_PODS) for name in ("x8k2p", "z")
    )
    assert first == second == Cause(REFUSED, needs_user=True, refused=True)
    told = [why_no_pod([event("FailedCreate", QUOTA.format(number))], QDRANT_PODS) for number in (0, 1)]
    assert told[0] == told[1]
    assert told[0] is not None
    assert "pods: exceeded quota: tiny, requested: pods=1, limited: pods=1. Change" in told[0].message


@pytest.mark.parametrize(
    ("message", "needs_user"),
    [
        ('admission webhook "policy.example" denied the request: no label team', True),
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true', True),
        ('Pod "x" is invalid: spec.containers[0].image: Required value', True),
        ('Internal error occurred: failed calling webhook "a": connection refused, denied', False),
        ("etcdserver: request timed out", False),
        ("", False),
    ],
    ids=["webhook", "pod-security", "invalid", "webhook-is-down", "etcd", "nothing"],
)
def test_only_a_refusal_needs_the_user(message: str, needs_user: bool) -> None:
    found = refusal(message, SERVER_PODS)
    assert (found.needs_user, found.refused) == (needs_user, True)


MISSING = 'MountVolume.SetUp failed for volume "auth-docs" : configmap "missing-ca" not found'
TIMED_OUT = (
    "Unable to attach or mount volumes: unmounted volumes=[auth-docs]: timed out waiting for the condition"
)


def test_what_a_pod_can_not_mount_is_named() -> None:
    events = [event("Pulled", "x"), event("FailedMount", MISSING), event("FailedMount", TIMED_OUT, LATER)]
    assert why_no_start(events) == Cause(f"The pod's containers can't start: {MISSING}.", needs_user=True)
    assert why_no_start([event("Scheduled", "x")]) is None
    sandbox = (
        'Failed to create pod sandbox: rpc error: code = Unknown desc = no network for "{}": plugin not ready'
    )
    told = {why_no_start([event("FailedCreatePodSandBox", sandbox.format(one * 64))]) for one in "ab"}
    assert len(told) == 1
    assert not told.pop().needs_user  # type: ignore[union-attr]  # it is there


NO_CLASS = 'storageclass.storage.k8s.io "no-such-class" not found'


@pytest.mark.parametrize(
    ("found", "events", "words", "needs_user"),
    [
        (claim(storage_class="no-such-class"), [event("ProvisioningFailed", NO_CLASS)], NO_CLASS, True),
        (
            claim(storage_class=None),
            [
                event(
                    "FailedBinding",
                    "no persistent volumes available for this claim and no storage class is set",
                )
            ],
            "no storage class is set",
            True,
        ),
        (claim(storage_class=None), [], "the cluster has no default one", True),
        (claim(), [], "of StorageClass fast has no volume yet", False),
        (
            claim(),
            [
                event(
                    "ProvisioningFailed", "rpc error: code = ResourceExhausted desc = no space in pool", LATER
                )
            ],
            "gets no volume: no space in pool.",
            False,
        ),
        (claim("Lost"), [], "is gone", True),
        (None, [], "doesn't exist", True),
    ],
    ids=["no-such-class", "no-class", "no-class-no-event", "waits", "full", "lost", "missing"],
)
def test_why_a_claim_has_no_volume(
    found: Manifest | None, events: list[Manifest], words: str, needs_user: bool
) -> None:
    cause = why_no_volume("storage-docs-qdrant-0", found, events, QDRANT_PODS)
    assert cause is not None
    assert "storage-docs-qdrant-0" in cause.message
    assert words in cause.message
    assert cause.needs_user is needs_user
    assert ("Make that StorageClass" in cause.message) is needs_user


def test_a_claim_with_a_volume_is_no_cause() -> None:
    assert (
        why_no_volume("x", claim("Bound"), [event("ProvisioningFailed", NO_CLASS, FIRST)], QDRANT_PODS)
        is None
    )


def test_what_is_over_is_no_cause() -> None:
    mounted = [event("FailedMount", MISSING), event("Pulling", 'Pulling image "flame:1"', LATER)]
    assert why_no_start(mounted) is None
    assert why_no_start([event("Pulling", "x", FIRST), event("FailedMount", MISSING, LATER)]) is not None
    created = [event("FailedCreate", QUOTA), event("SuccessfulCreate", "Created pod: x", LATER)]
    assert why_no_pod(created, RUN_PODS) is None


def test_a_volume_that_grows_is_a_cause_until_it_has_grown() -> None:
    found = claim("Bound", size="20Gi")
    assert why_small("c", found) is None
    assert why_small("c", None) is None
    said = {
        "type": "FileSystemResizePending",
        "status": "True",
        "message": "Waiting for a pod to be restarted.",
    }
    found["status"] |= {"capacity": {"storage": "10Gi"}, "conditions": [said]}
    cause = Cause("The volume of the claim c grows from 10Gi to 20Gi. Waiting for a pod to be restarted.")
    assert why_small("c", found) == cause
    found["status"]["capacity"] = {"storage": "20Gi"}
    assert why_small("c", found) is None


@pytest.mark.parametrize(
    ("found", "volume", "pending"),
    [
        (pod(), True, True),
        (pod(conditions=(no_node("pod has unbound immediate PersistentVolumeClaims."),)), True, True),
        (pod(conditions=(no_node('persistentvolumeclaim "docs" not found'),)), True, True),
        (pod(conditions=(no_node("1 Insufficient cpu"),)), False, True),
        (pod(waiting("ContainerCreating"), conditions=(SCHEDULED,)), False, True),
        (pod(runs(), phase="Running"), False, False),
        (pod(waiting("PodInitializing"), init=(ended("fetch"),)), False, False),
    ],
    ids=["no-scheduler", "unbound", "no-claim", "no-room", "creating", "running", "second-step"],
)
def test_which_pods_wait_for_a_volume_or_a_mount(found: Manifest, volume: bool, pending: bool) -> None:
    assert (waits_for_volume(found), is_pending(found)) == (volume, pending)
