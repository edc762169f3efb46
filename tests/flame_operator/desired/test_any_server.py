# ruff: noqa: ANN401 - JSON values
"""What is true of any server: of its children, and of the plan for them.

To draw a server costs a hundred times what it costs to look at it: all of these look at the same ones.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import given, settings

from flame_operator.changes.compare import corrections, is_subset
from flame_operator.changes.plan import Apply, plan
from flame_operator.desired.addresses import MOST_URLS, external_urls
from flame_operator.desired.children import desired_children
from flame_operator.desired.references import credentials, references
from flame_operator.resource.kinds import CONFIG_MAP, KINDS, SECRET, Key
from flame_operator.resource.server import Server
from tests.support.operator.children import DEFAULTS, TOKEN, children_of, facts, supported_servers
from tests.support.operator.live_children import live

ORDER = [
    "ServiceAccount",
    "ConfigMap",
    "Secret",
    "NetworkPolicy",
    "Deployment",
    "Service",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "Ingress",
    "HTTPRoute",
    "ServiceMonitor",
]

STATEMENTS: list[Callable[[Server], None]] = []


def about_any_server(statement: Callable[[Server], None]) -> Callable[[Server], None]:
    STATEMENTS.append(statement)
    return statement


@about_any_server
def the_same_server_gives_the_same_children_in_their_order(one: Server) -> None:
    wanted = desired_children(one, DEFAULTS, facts(one))
    assert wanted == desired_children(one, DEFAULTS, facts(one))
    assert [child["kind"] for child in wanted] == sorted({child["kind"] for child in wanted}, key=ORDER.index)


@about_any_server
def every_child_is_ours_and_where_the_server_is(one: Server) -> None:
    for child in desired_children(one, DEFAULTS, facts(one)):
        metadata = child["metadata"]
        assert child["apiVersion"] == KINDS[child["kind"]].api_version
        assert Key(metadata["namespace"], metadata["name"]) == one.key
        assert [owner["uid"] for owner in metadata["ownerReferences"] if owner["controller"]] == [one.uid]
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "flame-operator"
        assert metadata["labels"]["app.kubernetes.io/instance"] == one.key.name


@about_any_server
def children_are_plain_json_of_which_nothing_is_shared(one: Server) -> None:
    """Shared parts would be anchors in the YAML that `render` prints, and change together."""
    wanted = desired_children(one, DEFAULTS, facts(one))
    assert json.loads(json.dumps(wanted)) == list(wanted)
    parts = [id(part) for child in wanted for part in _parts(child)]
    assert len(parts) == len(set(parts))


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for part in value.values() if isinstance(value, dict) else value:
            yield from _parts(part)


@about_any_server
def children_are_subsets_of_themselves(one: Server) -> None:
    assert all(is_subset(child, child) for child in desired_children(one, DEFAULTS, facts(one)))


@about_any_server
def the_token_is_in_its_secret_alone(one: Server) -> None:
    wanted = children_of(one)
    secret = wanted.pop("Secret", None)
    assert secret is None or secret["data"] == {"token": TOKEN}
    assert TOKEN not in json.dumps(wanted)
    assert TOKEN not in repr(facts(one))


@about_any_server
def every_pod_is_restricted(one: Server) -> None:
    """The rules of Pod Security `restricted`: kubernetes.io/docs/concepts/security/pod-security-standards."""
    deployment = children_of(one)["Deployment"]
    template = deployment["spec"]["template"]
    spec = template["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostAliases", "shareProcessNamespace"} & spec.keys()
    assert spec["automountServiceAccountToken"] is False
    assert all(
        set(volume) - {"name"} <= {"configMap", "emptyDir", "secret", "projected"}
        for volume in spec["volumes"]
    )
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in context
        assert all("hostPort" not in port for port in container["ports"])
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert selector.keys() == {"app.kubernetes.io/name", "app.kubernetes.io/instance"}
    assert selector.items() <= template["metadata"]["labels"].items()


@about_any_server
def no_credential_is_a_token_for_the_kubernetes_api(one: Server) -> None:
    for volume in children_of(one)["Deployment"]["spec"]["template"]["spec"]["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            assert source.keys() <= {"secret", "configMap"}


@about_any_server
def a_spec_never_overrides_the_operators_own_settings(one: Server) -> None:
    wanted = children_of(one)
    container = wanted["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert not {env["name"] for env in container.get("env", [])} & wanted["ConfigMap"]["data"].keys()


@about_any_server
def every_file_that_the_server_is_told_of_is_mounted(one: Server) -> None:
    wanted = children_of(one)
    spec = wanted["Deployment"]["spec"]["template"]["spec"]
    told = {path for name, path in wanted["ConfigMap"]["data"].items() if name.endswith("_FILE")}
    mounted = {
        f"{mount['mountPath']}/{item['path']}"
        for volume in spec["volumes"]
        for mount in spec["containers"][0]["volumeMounts"]
        if mount["name"] == volume["name"]
        for source in volume.get("projected", {}).get("sources", [])
        for item in next(iter(source.values()))["items"]
    }
    assert told == mounted
    # Certificates may be read by anybody; other files only by the group.
    assert any("/ca/" not in path for path in told) == ("fsGroup" in spec["securityContext"])


@about_any_server
def the_service_tells_of_a_generated_secret_and_nothing_else_does(one: Server) -> None:
    wanted = children_of(one)
    marked = {
        kind
        for kind, child in wanted.items()
        if child["metadata"]["annotations"].get("flamemcp.dev/owns-secret")
    }
    assert marked == ({"Service"} if "Secret" in wanted else set())


@about_any_server
def pods_mount_what_rolls_them_and_nothing_else(one: Server) -> None:
    spec = children_of(one)["Deployment"]["spec"]["template"]["spec"]
    mounted = {
        (kind, source["name"], source["items"][0]["key"], source["items"][0]["path"])
        for volume in spec["volumes"]
        for projected in volume.get("projected", {}).get("sources", [])
        for kind, source in projected.items()
    }
    kinds = {SECRET: "secret", CONFIG_MAP: "configMap"}
    rolling = {(kinds[found.kind], found.name, found.key) for found in references(one) if found.rolls}
    assert {found[:3] for found in mounted} == rolling
    assert {
        (kinds[reference.kind], reference.name, reference.key, file) for file, reference in credentials(one)
    } == {found for found in mounted if found[3] != "ca.crt"}


@about_any_server
def whatever_is_told_of_its_addresses_fits_into_the_status(one: Server) -> None:
    balancer = {"loadBalancer": {"ingress": [{"hostname": "a" * 254}]}}
    for service in (None, {"spec": {"ports": [{"nodePort": 1}]}, "status": balancer}):
        found = external_urls(one, service)
        assert len(found) == len(set(found)) <= MOST_URLS
        assert all(len(url) <= 600 for url in found)


@about_any_server
def nothing_is_to_do_once_all_is_applied(one: Server) -> None:
    wanted = desired_children(one, DEFAULTS, facts(one))
    assert plan(one, wanted, [live(child) for child in wanted]) == ()


@about_any_server
def everything_is_to_do_at_first(one: Server) -> None:
    wanted = desired_children(one, DEFAULTS, facts(one))
    planned = plan(one, wanted, [])
    assert sorted(map(repr, planned)) == sorted(repr(Apply(child, uid=None)) for child in wanted)


@about_any_server
def there_is_nothing_to_correct_in_what_was_applied(one: Server) -> None:
    for child in desired_children(one, DEFAULTS, facts(one)):
        assert corrections(child, live(child)) == []


@given(supported_servers)
@settings(max_examples=200)
def test_any_server(one: Server) -> None:
    for statement in STATEMENTS:
        statement(one)
