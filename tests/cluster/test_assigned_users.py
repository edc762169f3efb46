"""OpenShift: no pod names a user, so that the platform may assign one. A policy plays `restricted-v2`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from flame_operator.desired.children import desired_children
from flame_operator.desired.ingestion_job import job
from flame_operator.desired.run import Run
from tests.support.charts.helm_cli import OPERATOR_CHART, SERVER_CHART, render
from tests.support.cluster.cluster import Cluster, Json
from tests.support.cluster.dry_run import Client
from tests.support.operator.children import DEFAULTS, facts, parse

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

NAME = "restricted-v2"
RANGE = "{0} >= 1000680000 && {0} < 1000690000"
CHECKS = {
    "runAsUser": "!has(s.runAsUser) || " + RANGE.format("s.runAsUser"),
    "fsGroup": "!has(s.fsGroup) || " + RANGE.format("s.fsGroup"),
    "runAsNonRoot": "has(s.runAsNonRoot) && s.runAsNonRoot",
}
INGESTION: Json = {"sources": [{"name": "docs", "git": {"url": "https://git.example/docs"}}]}


def policy(namespace: str) -> list[Json]:
    """The policy, for one namespace."""
    found: Json = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": NAME},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                    }
                ]
            },
            "validations": [
                {
                    "expression": f"[object.spec.securityContext].all(s, {check})",
                    "message": f"{field} must be in the range of the namespace or absent",
                }
                for field, check in CHECKS.items()
            ],
        },
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    binding: Json = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": NAME},
        "spec": {
            "policyName": NAME,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": selector},
        },
    }
    return [found, binding]


def pods_of_operator(*, fixed: bool) -> list[Json]:
    """Templates of all kinds of pods that an operator makes."""
    one = parse(vectorStore={"type": "Managed"}, ingestion=INGESTION, auth={"type": "Bearer"})
    defaults = replace(DEFAULTS, fixed_users=fixed)
    children = [*desired_children(one, defaults, facts(one))]
    children += [job(one, defaults, Run(task, "", "")) for task in ("ingest", "snapshot", "rollback")]
    return _templates(children)


def pods_of_charts(*, fixed: bool) -> list[Json]:
    """Templates of all kinds of pods of both charts, with those of `helm test`."""
    switch = {"openshift": {"enabled": not fixed}}
    key = "generated-by-the-operator"
    secrets = {"qdrant": {"apiKey": key, "readOnlyApiKey": key}, "token": {"value": key}}
    values = {"mode": "fullStack", "ingestion": INGESTION, "secrets": secrets, "auth": {"type": "Bearer"}}
    return _templates([*render(SERVER_CHART, {**values, **switch}), *render(OPERATOR_CHART, switch)])


def _templates(bodies: list[Json]) -> list[Json]:
    found = [body["spec"]["template"] for body in bodies if "template" in body.get("spec", {})]
    return found + [body for body in bodies if body["kind"] == "Pod"]


@pytest.fixture(scope="module")
def namespace(cluster: Cluster, client: Client) -> Iterator[str]:
    """A namespace in which pods that name a user are refused."""
    found = cluster.namespace()
    cluster.apply(*policy(found))
    fixed = pods_of_operator(fixed=True)[0]
    cluster.wait_until("the policy to be in force", lambda: create(client, found, fixed)[0] == 422)
    yield found
    cluster.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", NAME)


def create(client: Client, namespace: str, template: Json) -> tuple[int, Json]:
    """What the API server says to a pod of a template."""
    spec: dict[str, Any] = {**template["spec"], "restartPolicy": "Never"}
    # These exist in a cluster; here the API server's own admission would look for them.
    for field in ("serviceAccountName", "priorityClassName"):
        spec.pop(field, None)
    for volume in template["spec"].get("volumes", []):
        assert "hostPath" not in volume
    mounted = {mount["name"] for one in spec["containers"] for mount in one.get("volumeMounts", [])}
    known = {volume["name"] for volume in spec.get("volumes", [])}
    # A StatefulSet adds the volumes of its claims.
    claims = [{"name": name, "emptyDir": {}} for name in sorted(mounted - known)]
    spec["volumes"] = [*spec.get("volumes", []), *claims]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "pod-", "namespace": namespace},
        "spec": spec,
    }
    return client.send("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)


@pytest.mark.parametrize("pods", [pods_of_operator, pods_of_charts], ids=["operator", "charts"])
def test_no_pod_names_a_user_where_the_platform_assigns_one(
    client: Client, namespace: str, pods: Callable[..., list[Json]]
) -> None:
    found = pods(fixed=False)
    assert len(found) >= 5
    for template in found:
        code, answer = create(client, namespace, template)
        assert code == 201, answer["message"]


@pytest.mark.parametrize("pods", [pods_of_operator, pods_of_charts], ids=["operator", "charts"])
def test_elsewhere_all_pods_name_the_users_of_their_images(
    client: Client, namespace: str, pods: Callable[..., list[Json]]
) -> None:
    for template in pods(fixed=True):
        code, answer = create(client, namespace, template)
        assert code == 422, answer
        assert "runAsUser must be in the range of the namespace or absent" in answer["message"]
