"""The operator's chart, rendered by the real helm."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness import tools

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "flame-mcp-operator"
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


@functools.cache
def helm() -> Path:
    return tools.ensure("helm")["helm"]


def template(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(helm()), "template", "flame", str(CHART), "--namespace", "flame-mcp-system", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def render(*arguments: str) -> list[dict[str, Any]]:
    done = template(*arguments)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(documents: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [document for document in documents if document["kind"] == kind]


def container(documents: list[dict[str, Any]]) -> dict[str, Any]:
    (deployment,) = of_kind(documents, "Deployment")
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


def test_lint_is_clean() -> None:
    done = subprocess.run(
        [str(helm()), "lint", "--strict", str(CHART)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_crd_is_the_one_of_the_repository() -> None:
    assert (CHART / "files" / "flamemcpservers.yaml").read_text() == (
        ROOT / "crds" / "flamemcpservers.yaml"
    ).read_text(), "run: cp crds/flamemcpservers.yaml helm/flame-mcp-operator/files/"
    (crd,) = of_kind(render(), "CustomResourceDefinition")
    assert crd["metadata"].pop("annotations")["helm.sh/resource-policy"] == "keep"
    source = yaml.safe_load((ROOT / "crds" / "flamemcpservers.yaml").read_text())
    source["metadata"].pop("annotations", None)
    assert crd == source


def test_the_crd_is_optional_and_may_go_with_the_release() -> None:
    assert not of_kind(render("--set", "crds.enabled=false"), "CustomResourceDefinition")
    (crd,) = of_kind(render("--set", "crds.keep=false"), "CustomResourceDefinition")
    assert "helm.sh/resource-policy" not in crd["metadata"].get("annotations", {})


def test_a_list_of_namespaces_needs_no_cluster_role() -> None:
    documents = render("--set", "watchNamespaces={one,two}")
    assert not of_kind(documents, "ClusterRole")
    assert not of_kind(documents, "ClusterRoleBinding")
    for kind in ("Role", "RoleBinding"):
        assert [document["metadata"]["namespace"] for document in of_kind(documents, kind)] == ["one", "two"]
    assert container(documents)["args"] == ["run", "--namespace=one", "--namespace=two"]


def test_no_rule_reaches_secrets_or_says_everything() -> None:
    (role,) = of_kind(render(), "ClusterRole")
    for rule in role["rules"]:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        assert "secrets" not in rule["resources"]
        assert rule["apiGroups"] != ["rbac.authorization.k8s.io"]


def test_images_by_tag_and_by_digest() -> None:
    digest = "sha256:" + "0" * 64
    found = container(render("--set", f"image.digest={digest}", "--set", "server.image.tag=v7"))
    assert found["image"] == f"flame-mcp/operator@{digest}"
    environment = {item["name"]: item["value"] for item in found["env"]}
    assert environment["FLAME_OPERATOR_SERVER_IMAGE"] == "flame-mcp/server:v7"


def test_the_pod_is_restricted() -> None:
    documents = render()
    (deployment,) = of_kind(documents, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(documents)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("image.digest=latest", "digest"),
        ("watchNamespaces={UPPER}", "watchNamespaces"),
        ("log.level=loud", "level"),
        ("resyncSeconds=1", "resyncSeconds"),
        ("replicaCount=3", "replicaCount"),
        ("crds.enabled=perhaps", "enabled"),
        ("serviceAccount.create=false", "serviceAccount.name is needed"),
    ],
)
def test_a_wrong_value_is_refused_by_name(value: str, message: str) -> None:
    done = template("--set", value)
    assert done.returncode != 0
    assert message in done.stderr


def test_every_value_is_in_the_schema_and_back() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(values) == set(schema["properties"]) - {"global"}
