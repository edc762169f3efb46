# ruff: noqa: ANN401 - JSON values
"""The children: golden files for people to read, properties for everything that nobody thought of."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flame_operator.desired import Defaults, desired
from flame_operator.desired.naming import APPLIED_HASH, CONFIG_HASH
from flame_operator.desired.quantity import container_resources, parse_quantity
from flame_operator.errors import InvalidSpec
from flame_operator.model import Key, Manifest, Resources, Server, ServerSpec, parse_server
from flame_operator.plan import is_subset
from tests.flame_operator.fake_kube import server
from tests.flame_operator.specs import NASTY, servers, specs

GOLDEN = Path(__file__).parent / "golden"
DEFAULTS = Defaults(image="registry.example/flame-mcp-server:1")


def children(**spec: Any) -> dict[str, Manifest]:
    wanted = desired(parse_server(server(**spec), forbid_unknown=True), DEFAULTS)
    return {child["kind"]: child for child in wanted}


def pod(**spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = children(**spec)["Deployment"]["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.in.yaml")), ids=lambda path: path.name.split(".")[0])
def test_golden(path: Path) -> None:
    """`UPDATE_GOLDEN=1 pytest` writes the files anew; read the difference before it is committed."""
    body = yaml.safe_load(path.read_text())
    wanted = list(desired(parse_server(body, forbid_unknown=True), DEFAULTS))
    expected = path.with_name(path.name.replace(".in.", ".out."))
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(yaml.safe_dump_all(wanted, sort_keys=False))
    assert list(yaml.safe_load_all(expected.read_text())) == wanted


def test_every_field_is_in_a_golden_file() -> None:
    given_fields = {
        name for path in GOLDEN.glob("*.in.yaml") for name in yaml.safe_load(path.read_text()).get("spec", {})
    }
    assert given_fields >= set(ServerSpec.model_json_schema()["properties"]) - {"suspend"}


@given(servers())
def test_the_same_server_gives_the_same_children(one: Server) -> None:
    assert desired(one, DEFAULTS) == desired(one, DEFAULTS)


@given(servers())
def test_every_child_is_ours_and_where_the_server_is(one: Server) -> None:
    for child in desired(one, DEFAULTS):
        metadata = child["metadata"]
        assert Key(metadata["namespace"], metadata["name"]) == one.key
        assert [owner["uid"] for owner in metadata["ownerReferences"] if owner["controller"]] == [one.uid]
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "flame-operator"
        assert metadata["labels"]["app.kubernetes.io/instance"] == one.key.name


@given(servers())
def test_every_pod_is_restricted(one: Server) -> None:
    """The rules of Pod Security `restricted`: kubernetes.io/docs/concepts/security/pod-security-standards."""
    deployment = next(child for child in desired(one, DEFAULTS) if child["kind"] == "Deployment")
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


@given(servers())
def test_a_spec_never_overrides_the_operators_own_settings(one: Server) -> None:
    wanted = {child["kind"]: child for child in desired(one, DEFAULTS)}
    container = wanted["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert not {env["name"] for env in container.get("env", [])} & wanted["ConfigMap"]["data"].keys()


def expanded(text: str) -> str:
    """What the kubelet makes of a value: `$$` is `$`, and `$(NAME)` a variable, of which there are none."""
    return re.sub(r"\$\$|\$\([^)]*\)", lambda found: "$" if found[0] == "$$" else "EXPANDED", text)


@given(NASTY)
def test_env_values_arrive_as_they_were_written(text: str) -> None:
    (env,) = pod(env=[{"name": "X", "value": text}])["containers"][0]["env"]
    assert expanded(env["value"]) == text


@given(specs, specs)
def test_the_hash_tells_children_apart(one: dict[str, Any], other: dict[str, Any]) -> None:
    for kind, first in children(**one).items():
        second = children(**other)[kind]
        hashes = [child["metadata"]["annotations"][APPLIED_HASH] for child in (first, second)]
        assert (hashes[0] == hashes[1]) == (first == second)


def test_a_setting_rolls_the_pods_and_nothing_else_does() -> None:
    def config_hash(**spec: Any) -> str:
        template = children(**spec)["Deployment"]["spec"]["template"]
        return str(template["metadata"]["annotations"][CONFIG_HASH])

    assert config_hash() != config_hash(search={"maxTokens": 900})
    assert config_hash() == config_hash(service={"port": 8080})


@pytest.mark.parametrize(
    ("given_resources", "requests", "limits"),
    [
        ({}, ("100m", "256Mi"), ("500m", "512Mi")),
        ({"limits": {"memory": "128Mi"}}, ("100m", "128Mi"), ("500m", "128Mi")),
        ({"limits": {"cpu": 2}}, ("100m", "256Mi"), ("2", "512Mi")),
        ({"requests": {"cpu": "0.75", "memory": "1Gi"}}, ("0.75", "1Gi"), ("0.75", "1Gi")),
        ({"requests": {"cpu": "50m"}, "limits": {"cpu": "60m"}}, ("50m", "256Mi"), ("60m", "512Mi")),
    ],
)
def test_resources_that_are_left_out_fit_the_given_ones(
    given_resources: dict[str, Any], requests: tuple[str, str], limits: tuple[str, str]
) -> None:
    found = container_resources(Resources.model_validate(given_resources))
    assert (found["requests"]["cpu"], found["requests"]["memory"]) == requests
    assert (found["limits"]["cpu"], found["limits"]["memory"]) == limits


@given(st.sampled_from(["100m", "0.1", "2", "3k"]), st.sampled_from(["cpu", "memory", "ephemeral-storage"]))
def test_a_single_figure_always_makes_a_valid_pod(figure: str, name: str) -> None:
    for side in ("requests", "limits"):
        found = container_resources(Resources.model_validate({side: {name: figure}}))
        request, limit = parse_quantity(found["requests"][name]), parse_quantity(found["limits"][name])
        assert request is not None
        assert limit is not None
        assert request <= limit


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0.5", "500m"),
        ("1Gi", "1024Mi"),
        ("1e3", "1k"),
        ("1", 1),
        ("1000u", "1m"),
        (".5", "0.50"),
        ("1E", "1e18"),
    ],
)
def test_equal_quantities(one: str, other: str) -> None:
    assert parse_quantity(one) == parse_quantity(other) is not None


@pytest.mark.parametrize("text", ["", "1 Gi", "1KiB", "x", "1ki", "--1", "1e", "1.2.3", "\u0661"])
def test_no_quantities(text: str) -> None:
    assert parse_quantity(text) is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"replicas": "two"}, "spec.replicas: Input should be a valid integer"),
        ({"replicas": 51}, "spec.replicas: Input should be less than or equal to 50"),
        ({"embedding": {"type": "Remote"}}, "spec.embedding.type: Input should be 'Local' or 'None'"),
        ({"env": [{"name": "FASTMCP_X"}]}, "set by the operator"),
        ({"resources": {"limits": {"cpu": "lots"}}}, "spec.resources.limits.cpu"),
        ({"novelty": 1}, "spec.novelty: Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_is_named(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSpec, match=re.escape(message)):
        parse_server(server(**spec), forbid_unknown=True)


def test_a_newer_schema_does_not_stop_an_older_operator() -> None:
    assert parse_server(server(novelty={"x": 1}, replicas=3)).spec.replicas == 3


@given(servers())
def test_children_are_subsets_of_themselves(one: Server) -> None:
    assert all(is_subset(child, child) for child in desired(one, DEFAULTS))
