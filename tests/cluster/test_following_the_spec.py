"""From a spec to children, and what becomes of them when it changes or goes."""

import json

import pytest
import yaml

from tests.support.cluster.cluster import Cluster, Json, server
from tests.support.cluster.default_children import DEFAULT_KINDS, children, wait_until_at_rest

pytestmark = pytest.mark.cluster


@pytest.mark.usefixtures("lasting_operator")
def test_an_empty_spec_gets_its_children_and_a_status(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace))
    wait_until_at_rest(cluster, namespace)
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


@pytest.mark.usefixtures("lasting_operator")
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


@pytest.mark.usefixtures("lasting_operator")
def test_suspended_children_are_left_alone(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace))
    wait_until_at_rest(cluster, namespace)
    cluster.apply(server("docs", namespace, suspend=True, replicas=5))
    cluster.wait_for_condition("docs", namespace, "Reconciling", ("False", "Suspended"))
    assert cluster.found("deployment", "docs", namespace)["spec"]["replicas"] == 2
    cluster.apply(server("docs", namespace, replicas=5))
    cluster.wait_until(
        "the change to be made",
        lambda: cluster.found("deployment", "docs", namespace)["spec"]["replicas"] == 5,
    )


@pytest.mark.usefixtures("lasting_operator")
def test_the_scale_subresource_works(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace))
    wait_until_at_rest(cluster, namespace)
    cluster.kubectl("scale", "fmcp/docs", "--replicas=3", "-n", namespace)
    cluster.wait_until(
        "three pods", lambda: cluster.found("fmcp", "docs", namespace)["status"]["replicas"] == 3
    )


@pytest.mark.usefixtures("lasting_operator")
def test_deletion_removes_everything_owned(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace))
    wait_until_at_rest(cluster, namespace)
    cluster.kubectl("delete", "fmcp", "docs", "-n", namespace)
    cluster.wait_until("the children to be gone", lambda: not any(children(cluster, namespace).values()))


@pytest.mark.usefixtures("lasting_operator")
def test_a_server_that_is_deleted_and_made_again_gets_new_children(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace))
    wait_until_at_rest(cluster, namespace)
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


@pytest.mark.usefixtures("lasting_operator")
def test_optional_kinds_are_off_unless_the_operator_is_told(cluster: Cluster, namespace: str) -> None:
    route = {"auth": {"type": "Bearer"}, "httpRoute": {"parentRefs": [{"name": "gateway"}]}}
    cluster.apply(server("docs", namespace, **route))
    cluster.wait_for_condition("docs", namespace, "Stalled", ("True", "FeatureDisabled"))
    assert cluster.get("deployment", "docs", namespace) is not None


@pytest.mark.usefixtures("lasting_operator")
def test_the_status_tells_the_addresses_of_a_load_balancer(cluster: Cluster, namespace: str) -> None:
    open_to_all = {"auth": {"allowUnauthenticated": True}, "service": {"type": "LoadBalancer"}}
    cluster.apply(server("docs", namespace, **open_to_all))

    def told() -> list[str]:
        found = cluster.get("fmcp", "docs", namespace) or {}
        urls: list[str] = found.get("status", {}).get("externalURLs", [])
        return urls

    cluster.wait_until("a Service", lambda: cluster.get("service", "docs", namespace) is not None)
    assert told() == []
    status = json.dumps({"status": {"loadBalancer": {"ingress": [{"hostname": "lb-1.example.com"}]}}})
    patch = ("--subresource=status", "--type=merge", "-p", status)
    cluster.kubectl("patch", "service", "docs", "-n", namespace, *patch)
    cluster.wait_until("its address in the status", lambda: told() == ["http://lb-1.example.com/mcp"])
    cluster.apply(server("docs", namespace))
    cluster.wait_until("the address to go", lambda: told() == [])


@pytest.mark.usefixtures("operator")
def test_labels_and_annotations_come_to_all_children_and_go_again(cluster: Cluster, namespace: str) -> None:
    given = {"labels": {"team": "games"}, "annotations": {"example.com/cost": "42"}}
    cluster.apply(server("docs", namespace, metadata=given))
    wait_until_at_rest(cluster, namespace)

    def found(field: str, name: str) -> set[str | None]:
        return {
            ((child or {}).get("metadata", {}).get(field) or {}).get(name)
            for child in children(cluster, namespace).values()
        }

    def pods() -> Json:
        template: Json = cluster.found("deployment", "docs", namespace)["spec"]["template"]
        return template

    assert found("labels", "team") == {"games"}
    assert found("annotations", "example.com/cost") == {"42"}
    before = pods()
    cluster.kubectl("label", "service", "docs", "-n", namespace, "theirs=stays")
    cluster.apply(server("docs", namespace, metadata={"labels": {"tier": "one"}}))
    cluster.wait_until("the new label on all children", lambda: found("labels", "tier") == {"one"})
    assert found("labels", "team") == {None}
    assert found("annotations", "example.com/cost") == {None}
    assert cluster.found("service", "docs", namespace)["metadata"]["labels"]["theirs"] == "stays"
    assert pods() == before  # none is replaced
