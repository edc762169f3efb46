"""The operator as a process against a real API server with its controllers, but no node: pods never run."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import yaml

from flame_operator.desired.children import desired_children
from flame_operator.desired.ingestion_job import job
from flame_operator.desired.inputs import Defaults
from flame_operator.desired.references import references
from flame_operator.desired.run import Run
from flame_operator.resource.kinds import KINDS
from flame_operator.resource.server import parse_server
from flame_server.index.build import build_index
from tests.cluster.conftest import Cluster, Json, server
from tests.flame_server.server_process import FLAME_MCP, running
from tests.harness.operator_process import Operator
from tests.support.operator.children import facts

pytestmark = pytest.mark.cluster

DEFAULT_KINDS = [
    KINDS[child["kind"]]
    for child in desired_children(
        parse_server(server("docs", "any")), Defaults(image="flame-mcp-server:test")
    )
]
CHILDREN = tuple(kind.kind.lower() for kind in DEFAULT_KINDS)
ROOT = Path(__file__).parents[2]
WIDE = ("IMAGE", "COLLECTION", "LAST-INGEST")
NOT_READY = ("False", "PodsNotReady")


@pytest.fixture
def operator(start_operator: Callable[..., Operator]) -> Operator:
    return start_operator()


def children(cluster: Cluster, namespace: str, name: str = "docs") -> dict[str, Json | None]:
    return {kind: cluster.get(kind, name, namespace) for kind in CHILDREN}


def at_rest(cluster: Cluster, namespace: str, name: str = "docs") -> None:
    """Wait until the controllers have made pods and the operator has said so."""
    cluster.wait_for_condition(name, namespace, "Ready", NOT_READY)
    cluster.wait_until(
        "both pods to be counted",
        lambda: cluster.found("fmcp", name, namespace)["status"]["replicas"] == 2,
    )


@pytest.mark.usefixtures("operator")
def test_an_empty_spec_gets_its_children_and_a_status(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace))
    at_rest(cluster, namespace)
    resource = cluster.found("fmcp", "docs", namespace)
    for child in children(cluster, namespace).values():
        assert child is not None
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == (resource["metadata"]["uid"], True)
    status = resource["status"]
    assert status["url"] == f"http://docs.{namespace}.svc/mcp"
    assert status["observedGeneration"] == resource["metadata"]["generation"]
    assert [one["type"] for one in status["conditions"]] == [
        "Ready",
        "Available",
        "IndexReady",
        "Verified",
        "Reconciling",
        "Stalled",
    ]
    writes = cluster.operator_writes(namespace)
    assert set(writes) == {
        "patch flamemcpservers/status",
        *(f"patch {kind.plural}" for kind in DEFAULT_KINDS),
    }
    # The Deployment controller reports in its own time, so the status may follow it in two steps more.
    assert len(writes) - writes.count("patch flamemcpservers/status") == len(DEFAULT_KINDS)
    assert writes.count("patch flamemcpservers/status") <= 3
    metadata = resource["metadata"]
    assert "finalizers" not in metadata
    assert set(metadata.get("annotations", {})) <= {"kubectl.kubernetes.io/last-applied-configuration"}


def test_nothing_is_written_while_nothing_changes_nor_on_restart(
    cluster: Cluster, namespace: str, start_operator: Callable[..., Operator]
) -> None:
    first = start_operator(FLAME_OPERATOR_RESYNC_SECONDS="1")
    cluster.apply(server("docs", namespace))
    at_rest(cluster, namespace)
    before = cluster.operator_writes(namespace)
    first.wait_for("swept", count=len(first.lines("swept")) + 3)
    assert cluster.operator_writes(namespace) == before
    first.stop()
    second = start_operator(FLAME_OPERATOR_RESYNC_SECONDS="1")
    second.wait_for("swept", count=3)
    assert [line["missed"] for line in second.lines("swept")] == [0] * len(second.lines("swept"))
    assert cluster.operator_writes(namespace) == before


def change_config(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl(
        "patch", "cm", "docs", "-n", namespace, "--type=merge", "-p", '{"data":{"FLAME_MCP_PORT":"1"}}'
    )


def change_service(cluster: Cluster, namespace: str) -> None:
    ports = '[{"op":"replace","path":"/spec/ports/0/port","value":99}]'
    cluster.kubectl("patch", "svc", "docs", "-n", namespace, "--type=json", "-p", ports)


def add_port(cluster: Cluster, namespace: str) -> None:
    ports = '[{"op":"add","path":"/spec/ports/-","value":{"name":"theirs","port":99}}]'
    cluster.kubectl("patch", "svc", "docs", "-n", namespace, "--type=json", "-p", ports)


def change_container_port(cluster: Cluster, namespace: str) -> None:
    path = "/spec/template/spec/containers/0/ports/0/containerPort"
    ports = json.dumps([{"op": "replace", "path": path, "value": 9}])
    cluster.kubectl("patch", "deploy", "docs", "-n", namespace, "--type=json", "-p", ports)


def change_deployment(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("set", "image", "deploy/docs", "server=evil:1", "-n", namespace)


def remove_labels(cluster: Cluster, namespace: str) -> None:
    label = "app.kubernetes.io/managed-by-"
    cluster.kubectl("label", "sa", "docs", "-n", namespace, label)


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    "change",
    [change_config, change_service, add_port, change_container_port, change_deployment, remove_labels],
)
def test_edited_children_are_set_right(
    cluster: Cluster, namespace: str, change: Callable[[Cluster, str], None]
) -> None:
    cluster.apply(server("docs", namespace))
    at_rest(cluster, namespace)
    before = {kind: essence(child) for kind, child in children(cluster, namespace).items()}
    change(cluster, namespace)
    cluster.wait_until(
        "the edit to be undone",
        lambda: {kind: essence(child) for kind, child in children(cluster, namespace).items()} == before,
    )


def essence(child: Json | None) -> Json | None:
    """A child less what changes on its own."""
    if child is None:
        return None
    plain = {name: value for name, value in child.items() if name != "status"}
    plain["metadata"] = {name: child["metadata"].get(name) for name in ("name", "labels", "ownerReferences")}
    return plain


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("kind", CHILDREN)
def test_deleted_children_come_back(cluster: Cluster, namespace: str, kind: str) -> None:
    cluster.apply(server("docs", namespace))
    at_rest(cluster, namespace)
    old = cluster.found(kind, "docs", namespace)["metadata"]["uid"]
    cluster.kubectl("delete", kind, "docs", "-n", namespace, "--wait=false")

    def back() -> bool:
        child = cluster.get(kind, "docs", namespace)
        return child is not None and child["metadata"]["uid"] != old

    cluster.wait_until(f"the {kind} to come back", back)


@pytest.mark.usefixtures("operator")
def test_the_spec_flows_into_children_and_out_again(cluster: Cluster, namespace: str) -> None:
    rich = server(
        "docs",
        namespace,
        image="other:1",
        service={"port": 8080, "annotations": {"example.com/a": "1"}},
        scheduling={"nodeSelector": {"disk": "ssd"}},
        env=[{"name": "A", "value": "$(B)"}],
        search={"maxTokens": 900},
    )
    cluster.apply(rich)

    def pod() -> Json:
        template: Json = cluster.found("deployment", "docs", namespace)["spec"]["template"]
        return template

    cluster.wait_until("the Service", lambda: cluster.get("service", "docs", namespace) is not None)
    service = cluster.found("service", "docs", namespace)
    assert service["spec"]["ports"][0]["port"] == 8080
    assert service["metadata"]["annotations"]["example.com/a"] == "1"
    (container,) = pod()["spec"]["containers"]
    assert container["image"] == "other:1"
    assert container["env"] == [{"name": "A", "value": "$$(B)"}]
    assert pod()["spec"]["nodeSelector"] == {"disk": "ssd"}
    config_hash = pod()["metadata"]["annotations"]["flamemcp.dev/config-hash"]
    cluster.kubectl("annotate", "svc", "docs", "-n", namespace, "example.com/theirs=2")

    cluster.kubectl("replace", "-f", "-", text=yaml.safe_dump(server("docs", namespace)))
    cluster.wait_until(
        "the fields to be gone",
        lambda: (
            "nodeSelector" not in pod()["spec"]
            and cluster.found("service", "docs", namespace)["spec"]["ports"][0]["port"] == 80
        ),
    )
    (container,) = pod()["spec"]["containers"]
    assert container["image"] == "flame-mcp-server:test"
    assert "env" not in container
    assert pod()["metadata"]["annotations"]["flamemcp.dev/config-hash"] != config_hash
    annotations = cluster.found("service", "docs", namespace)["metadata"]["annotations"]
    assert "example.com/a" not in annotations
    assert annotations["example.com/theirs"] == "2"


@pytest.mark.usefixtures("operator")
def test_suspended_children_are_left_alone(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace))
    at_rest(cluster, namespace)
    cluster.apply(server("docs", namespace, suspend=True, replicas=5))
    cluster.wait_for_condition("docs", namespace, "Reconciling", ("False", "Suspended"))
    assert cluster.found("deployment", "docs", namespace)["spec"]["replicas"] == 2
    cluster.apply(server("docs", namespace, replicas=5))
    cluster.wait_until(
        "the change to be made",
        lambda: cluster.found("deployment", "docs", namespace)["spec"]["replicas"] == 5,
    )


@pytest.mark.usefixtures("operator")
def test_the_scale_subresource_works(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace))
    at_rest(cluster, namespace)
    cluster.kubectl("scale", "fmcp/docs", "--replicas=3", "-n", namespace)
    cluster.wait_until(
        "three pods", lambda: cluster.found("fmcp", "docs", namespace)["status"]["replicas"] == 3
    )


@pytest.mark.usefixtures("operator")
def test_deletion_removes_everything_owned(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace))
    at_rest(cluster, namespace)
    cluster.kubectl("delete", "fmcp", "docs", "-n", namespace)
    cluster.wait_until("the children to be gone", lambda: not any(children(cluster, namespace).values()))


@pytest.mark.usefixtures("operator")
def test_a_server_that_is_deleted_and_made_again_gets_new_children(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace))
    at_rest(cluster, namespace)
    cluster.kubectl("delete", "fmcp", "docs", "-n", namespace)
    cluster.apply(server("docs", namespace))
    uid = cluster.found("fmcp", "docs", namespace)["metadata"]["uid"]

    def owned() -> bool:
        return all(
            child is not None and child["metadata"]["ownerReferences"][0]["uid"] == uid
            for child in children(cluster, namespace).values()
        )

    cluster.wait_until("the new server to own all children", owned)
    cluster.wait_for_condition("docs", namespace, "Stalled", ("False", "UpToDate"))


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("kind", CHILDREN)
def test_foreign_objects_are_never_touched(cluster: Cluster, namespace: str, kind: str) -> None:
    bodies = {body["kind"].lower(): body for body in foreign(namespace)}
    cluster.apply(bodies[kind])
    before = cluster.found(kind, "docs", namespace)
    cluster.apply(server("docs", namespace))
    cluster.wait_for_condition("docs", namespace, "Stalled", ("True", "NameTaken"))
    cluster.wait_for_condition("docs", namespace, "Ready", ("False", "NameTaken"))
    after = cluster.found(kind, "docs", namespace)
    for field in ("spec", "data"):
        assert after.get(field) == before.get(field)
    for field in ("labels", "uid", "ownerReferences"):
        assert after["metadata"].get(field) == before["metadata"].get(field)
    managers = {entry["manager"] for entry in with_managers(cluster, kind, namespace)}
    assert not {manager for manager in managers if manager.startswith("flame")}
    message = cluster.found("fmcp", "docs", namespace)["status"]["conditions"][0]["message"]
    assert "don't belong to it" in message


def with_managers(cluster: Cluster, kind: str, namespace: str) -> list[Json]:
    text = cluster.kubectl("get", kind, "docs", "-n", namespace, "-o", "json", "--show-managed-fields").stdout
    fields: list[Json] = json.loads(text)["metadata"]["managedFields"]
    return fields


def foreign(namespace: str) -> list[Json]:
    metadata = {"name": "docs", "namespace": namespace}
    labels = {"app": "theirs"}
    pod = {"containers": [{"name": "theirs", "image": "theirs:1"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"theirs": "1"}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": 1}]},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata,
            "spec": {"podSelector": {"matchLabels": labels}},
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata,
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}},
        },
    ]


def set_pods_ready(cluster: Cluster, namespace: str, *, ready: bool) -> None:
    """What kubelets would report; the controllers carry it into the Deployment."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    truth = "True" if ready else "False"
    status = {
        "phase": "Running",
        "conditions": [{"type": kind, "status": truth, "lastTransitionTime": now} for kind in ("Ready",)],
    }
    for pod in cluster.items("pods", namespace):
        name = pod["metadata"]["name"]
        patch = json.dumps({"status": status})
        cluster.kubectl(
            "patch", "pod", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch
        )


@pytest.fixture
def pods_of_service(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Stands for the pods: the real server, listening on this machine under the Service's address."""
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "camera.md").write_text("# Camera\n\nThe camera follows a component.\n")
    build_index(str(pages), tmp_path / "index", embedding="none", report=lambda _: None)
    with ExitStack() as stack:

        def start() -> None:
            service = cluster.found("service", "docs", namespace)["spec"]
            settings = {
                "HOST": service["clusterIP"],
                "PORT": str(service["ports"][0]["port"]),
                "ALLOWED_HOSTS": f"docs.{namespace}.svc",
                "LOG_LEVEL": "error",
            }
            stack.enter_context(running([*FLAME_MCP, "serve"], tmp_path / "index", **settings))

        yield start


@pytest.mark.timeout(150)
@pytest.mark.usefixtures("operator")
def test_ready_follows_the_pods_and_their_answers(
    cluster: Cluster, namespace: str, pods_of_service: Callable[[], None]
) -> None:
    spec = {"service": {"port": 18080}, "verification": {"query": "camera"}}
    cluster.apply(server("docs", namespace, **spec))
    at_rest(cluster, namespace)
    set_pods_ready(cluster, namespace, ready=True)
    cluster.wait_for_condition("docs", namespace, "Ready", ("False", "NotAnswering"))
    pods_of_service()
    # After several failures it is asked again within a minute.
    cluster.wait_for_condition("docs", namespace, "Ready", ("True", "Answering"), timeout=70)
    cluster.kubectl("wait", "--for=condition=Ready", "fmcp/docs", "-n", namespace, "--timeout=30s")
    cluster.wait_for_condition("docs", namespace, "Reconciling", ("False", "UpToDate"))
    status = cluster.found("fmcp", "docs", namespace)["status"]
    assert status["readyReplicas"] == 2
    assert "get_flame_knowledge" in status["server"]["tools"]
    assert status["index"]["chunks"] > 0
    table = cluster.kubectl("get", "fmcp", "-n", namespace, "-o", "wide").stdout.splitlines()
    assert table[0].split() == ["NAME", "READY", "REASON", "MODE", "REPLICAS", "URL", "AGE", *WIDE]
    assert table[1].split()[:5] == ["docs", "True", "Answering", "Standalone", "2"]
    set_pods_ready(cluster, namespace, ready=False)
    cluster.wait_for_condition("docs", namespace, "Ready", NOT_READY)
    cluster.wait_until(
        "both events",
        lambda: (
            {"Ready", "PodsNotReady"} <= {event["reason"] for event in cluster.items("events", namespace)}
        ),
    )


@pytest.mark.usefixtures("operator")
def test_a_quota_that_keeps_pods_away_is_named(cluster: Cluster, namespace: str) -> None:
    quota = {
        "kind": "ResourceQuota",
        "apiVersion": "v1",
        "metadata": {"name": "tiny", "namespace": namespace},
    }
    cluster.apply({**quota, "spec": {"hard": {"pods": "0"}}})
    cluster.wait_until(
        "the quota to be counted",
        lambda: "hard" in cluster.found("quota", "tiny", namespace).get("status", {}),
    )
    cluster.apply(server("docs", namespace))
    cluster.wait_for_condition("docs", namespace, "Stalled", ("True", "PodsRejected"))
    message = cluster.found("fmcp", "docs", namespace)["status"]["conditions"][0]["message"]
    assert "exceeded quota: tiny" in message


@pytest.mark.usefixtures("operator")
def test_a_child_that_admission_refuses_is_reported_and_retried(cluster: Cluster, namespace: str) -> None:
    quota = {
        "kind": "ResourceQuota",
        "apiVersion": "v1",
        "metadata": {"name": "none", "namespace": namespace},
    }
    cluster.apply({**quota, "spec": {"hard": {"services": "0"}}})
    cluster.wait_until(
        "the quota to be counted",
        lambda: "hard" in cluster.found("quota", "none", namespace).get("status", {}),
    )
    cluster.apply(server("docs", namespace))
    cluster.wait_for_condition("docs", namespace, "Stalled", ("True", "ApplyRefused"))
    cluster.kubectl("delete", "quota", "none", "-n", namespace)
    cluster.wait_for_condition("docs", namespace, "Stalled", ("False", "UpToDate"))


def test_only_the_named_namespaces_are_served(
    cluster: Cluster, start_operator: Callable[..., Operator]
) -> None:
    one, two, elsewhere = (cluster.namespace() for _ in range(3))
    start_operator("--namespace", one, "-n", two)
    for namespace in (elsewhere, one, two):
        cluster.apply(server("docs", namespace))
    for namespace in (one, two):
        at_rest(cluster, namespace)
    assert not any(children(cluster, elsewhere).values())
    assert cluster.operator_writes(elsewhere) == []


def test_an_operator_that_is_killed_is_followed_by_one_that_repeats_nothing(
    cluster: Cluster, namespace: str, start_operator: Callable[..., Operator]
) -> None:
    first = start_operator()
    cluster.apply(server("docs", namespace))
    at_rest(cluster, namespace)
    first.kill()
    cluster.kubectl("delete", "svc", "docs", "-n", namespace)
    before = len(cluster.operator_writes(namespace))
    start_operator()
    cluster.wait_until("the Service to come back", lambda: cluster.get("svc", "docs", namespace) is not None)
    assert cluster.operator_writes(namespace)[before:] == ["patch services"]


def test_probes_answer(cluster: Cluster, operator: Operator) -> None:
    cluster.wait_until("readiness", lambda: operator.get("/readyz")[0] == 200)
    status, body = operator.get("/healthz")
    assert status == 200
    assert json.loads(body)["role"] == "leader"


def test_without_rights_the_operator_says_what_to_do(tmp_path: Path, cluster: Cluster) -> None:
    kubeconfig = yaml.safe_load(cluster.plane.kubeconfig.read_text())
    kubeconfig["users"][0]["user"] = {}
    anonymous = tmp_path / "kubeconfig"
    anonymous.write_text(yaml.safe_dump(kubeconfig))
    for election, message in (("true", "can't use its Lease"), ("false", "can't use its own Secret")):
        log = tmp_path / f"{election}.log"
        operator = Operator(anonymous, log, FLAME_OPERATOR_LEADER_ELECTION=election)
        assert operator.wait() == 1
        text = log.read_text()
        assert f"error: the operator {message}" in text
        assert "RBAC" in text
        assert "Traceback" not in text


def test_pods_pass_pod_security_restricted(cluster: Cluster) -> None:
    namespace = cluster.namespace(**{"pod-security.kubernetes.io/warn": "restricted"})
    for example in examples():
        body = {**example, "metadata": {**example["metadata"], "namespace": namespace, "uid": "0"}}
        one, defaults = parse_server(body, forbid_unknown=True), Defaults(image="x:1")
        wanted = [
            *desired_children(one, defaults, facts(one)),
            job(one, defaults, Run("ingest", "spec", "x")),
        ]
        for child in copy.deepcopy([child for child in wanted if "template" in child.get("spec", {})]):
            del child["metadata"]["ownerReferences"]
            result = cluster.kubectl("apply", "--dry-run=server", "-f", "-", text=yaml.safe_dump(child))
            assert "Warning" not in result.stderr
            child["spec"]["template"]["spec"]["hostNetwork"] = True
            result = cluster.kubectl(
                "apply", "--dry-run=server", "-f", "-", text=yaml.safe_dump(child), check=False
            )
            assert "Warning" in result.stderr or result.returncode != 0


def has_children(cluster: Cluster, namespace: str, name: str) -> bool:
    return all(children(cluster, namespace, name).values())


def examples() -> Iterator[Json]:
    for path in sorted((ROOT / "examples").glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


def stalled(example: Json) -> tuple[str, str]:
    """What an example says where nothing but itself is there."""
    one = parse_server(
        {**example, "metadata": {**example["metadata"], "namespace": "any"}}, forbid_unknown=True
    )
    if any(reference.rolls and not reference.own for reference in references(one)):
        return "True", "ReferenceMissing"
    return "False", "UpToDate"


@pytest.mark.usefixtures("operator")
def test_examples_apply(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("apply", "--validate=strict", "-n", namespace, "-f", str(ROOT / "examples"))
    for example in examples():
        name, expected = example["metadata"]["name"], stalled(example)
        cluster.wait_for_condition(name, namespace, "Stalled", expected)
        if expected[0] == "False":
            cluster.wait_until(f"the children of {name}", partial(has_children, cluster, namespace, name))


@pytest.mark.usefixtures("operator")
def test_optional_kinds_are_off_unless_the_operator_is_told(cluster: Cluster, namespace: str) -> None:
    route = {"httpRoute": {"parentRefs": [{"name": "gateway"}]}}
    cluster.apply(server("docs", namespace, **route))
    cluster.wait_for_condition("docs", namespace, "Stalled", ("True", "FeatureDisabled"))
    assert cluster.get("deployment", "docs", namespace) is not None
