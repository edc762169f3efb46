# ruff: noqa: ANN401 - JSON values
"""The Deployment: pods that are restricted, where they run, how many, and what rolls them."""

import re
from typing import Any

import pytest
from hypothesis import given

from flame_operator.desired.children import desired_children
from flame_operator.desired.inputs import Defaults, Facts
from flame_operator.resource.annotations import CONFIG_HASH, REFERENCES_DIGEST
from flame_operator.resource.kinds import Manifest
from tests.support.operator.children import TOKEN, children, children_of, facts, parse, pod
from tests.support.operator.specs import NASTY

KEY = {"name": "keys", "key": "api"}
AZURE = {"endpoint": "https://x.openai.azure.com", "deployment": "d"}


def expanded(text: str) -> str:
    """What the kubelet makes of a value: `$$` is `$`, and `$(NAME)` a variable, of which there are none."""
    return re.sub(r"\$\$|\$\([^)]*\)", lambda found: "$" if found[0] == "$$" else "EXPANDED", text)


@given(NASTY)
def test_env_values_arrive_as_they_were_written(text: str) -> None:
    (env,) = pod(env=[{"name": "X", "value": text}])["containers"][0]["env"]
    assert expanded(env["value"]) == text


def template(known: Facts | None = None, **spec: Any) -> Manifest:
    one = parse(**spec)
    deployment = next(
        child
        for child in desired_children(one, Defaults(image="x:1"), known or facts(one))
        if child["kind"] == "Deployment"
    )
    found: Manifest = deployment["spec"]["template"]
    return found


def test_a_setting_rolls_the_pods_and_nothing_else_does() -> None:
    assert template() != template(search={"maxTokens": 900})
    assert template() == template(service={"port": 8080}) == template(networkPolicy={"type": "Disabled"})
    hashes = [found["metadata"]["annotations"][CONFIG_HASH] for found in (template(), template(replicas=9))]
    assert hashes[0] == hashes[1]


def test_a_changed_reference_rolls_the_pods_and_a_changed_token_alone_does_not() -> None:
    def rolled(references: str = "", token: str = TOKEN) -> Manifest:
        return template(Facts(references=references, token=token), auth={"type": "Bearer"})

    assert rolled("a") != rolled("b")
    assert rolled("a") == rolled("a", "b3RoZXI=")
    assert rolled("a")["metadata"]["annotations"][REFERENCES_DIGEST] == "a"
    assert REFERENCES_DIGEST not in rolled()["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("spec", "scaled_by_others", "replicas"),
    [
        ({}, False, 2),
        ({}, True, None),
        ({"replicas": 0}, False, 0),
        ({"replicas": 7}, True, 7),
        ({"autoscaling": {}}, False, None),
        ({"autoscaling": {}}, True, None),
    ],
)
def test_replicas_are_sent_unless_somebody_else_scales(
    spec: dict[str, Any], scaled_by_others: bool, replicas: int | None
) -> None:
    one = parse(**spec)
    wanted = desired_children(one, Defaults(image="x:1"), Facts(scaled_by_others=scaled_by_others))
    found = next(child for child in wanted if child["kind"] == "Deployment")["spec"]
    assert found.get("replicas") == replicas
    assert ("replicas" in found) == (replicas is not None)


def test_pods_spread_over_nodes_and_zones_unless_the_user_says_how() -> None:
    def spread(**scheduling: Any) -> list[tuple[Any, ...]]:
        found = pod(scheduling=scheduling)["topologySpreadConstraints"]
        own = {
            "matchLabels": {
                "app.kubernetes.io/name": "flame-mcp-server",
                "app.kubernetes.io/instance": "docs",
            }
        }
        assert all(constraint["labelSelector"] == own for constraint in found)
        return [(each["topologyKey"], each["whenUnsatisfiable"]) for each in found]

    assert spread() == [
        ("kubernetes.io/hostname", "ScheduleAnyway"),
        ("topology.kubernetes.io/zone", "ScheduleAnyway"),
    ]
    rack = {"topologyKey": "example.com/rack", "whenUnsatisfiable": "DoNotSchedule"}
    assert spread(topologySpreadConstraints=[rack]) == [("example.com/rack", "DoNotSchedule")]


def test_workload_identity_marks_pods_and_account() -> None:
    def marks(**identity: str) -> tuple[str | None, str | None]:
        wanted = children(
            embedding={"type": "AzureOpenAI", "azureOpenAI": {**AZURE, "workloadIdentity": identity}},
            serviceAccount={"annotations": {"azure.workload.identity/client-id": "the user's"}},
        )
        labels = wanted["Deployment"]["spec"]["template"]["metadata"]["labels"]
        annotations = wanted["ServiceAccount"]["metadata"]["annotations"]
        return labels.get("azure.workload.identity/use"), annotations["azure.workload.identity/client-id"]

    assert marks() == ("true", "the user's")
    assert marks(clientID="42") == ("true", "42")
    template = children(embedding={"type": "AzureOpenAI", "azureOpenAI": {**AZURE, "apiKeySecretRef": KEY}})
    labels = template["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert "azure.workload.identity/use" not in labels


def test_pull_secrets_are_the_installations_unless_the_user_names_some() -> None:
    def names(*given: str) -> list[str]:
        one = parse(imagePullSecrets=[{"name": name} for name in given])
        defaults = Defaults(image="x:1", image_pull_secrets=("registry", "mirror"))
        spec = children_of(one, defaults)["Deployment"]["spec"]["template"]["spec"]
        return [secret["name"] for secret in spec["imagePullSecrets"]]

    assert names() == ["registry", "mirror"]
    assert names("own") == ["own"]
    assert "imagePullSecrets" not in pod()
