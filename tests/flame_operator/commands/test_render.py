import base64
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from flame_operator.commands.main import main

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
ALWAYS = ["ServiceAccount", "ConfigMap", "Deployment", "Service"]
HEAD = "apiVersion: flamemcp.dev/v1alpha1\nkind: FlameMCPServer\nmetadata: {name: docs}\n"


def flame_operator(*args: str, text: str = "", env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, args, input=text, env=env)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_render(path: Path) -> None:
    result = flame_operator("render", "-f", str(path))
    assert result.exit_code == 0, result.stderr
    name = yaml.safe_load(path.read_text())["metadata"]["name"]
    children = list(yaml.safe_load_all(result.stdout))
    kinds = [child["kind"] for child in children if child["metadata"]["name"] == name]
    assert [kind for kind in kinds if kind in ALWAYS] == ALWAYS
    # A reference in YAML is for programs to read.
    assert "&id" not in result.stdout


def test_several_documents_from_stdin_with_an_image() -> None:
    text = f"{HEAD}---\n{HEAD.replace('docs', 'more')}spec: {{image: own:2}}\n---\n"
    result = flame_operator("render", "-f", "-", "--server-image", "default:1", text=text)
    children = list(yaml.safe_load_all(result.stdout))
    assert [child["metadata"]["name"] for child in children] == ["docs"] * 6 + ["more"] * 6
    images = [
        child["spec"]["template"]["spec"]["containers"][0]["image"]
        for child in children
        if child["kind"] == "Deployment"
    ]
    assert images == ["default:1", "own:2"]


def test_the_image_comes_from_the_environment() -> None:
    result = flame_operator("render", "-f", "-", text=HEAD, env={"FLAME_OPERATOR_SERVER_IMAGE": "env:1"})
    assert "image: env:1" in result.stdout


def test_pull_secrets_come_from_the_environment() -> None:
    secrets = {"FLAME_OPERATOR_IMAGE_PULL_SECRETS": "registry, mirror"}
    children = yaml.safe_load_all(flame_operator("render", "-f", "-", text=HEAD, env=secrets).stdout)
    (deployment,) = (child for child in children if child["kind"] == "Deployment")
    assert deployment["spec"]["template"]["spec"]["imagePullSecrets"] == [
        {"name": "registry"},
        {"name": "mirror"},
    ]
    refused = flame_operator(
        "render", "-f", "-", text=HEAD, env={"FLAME_OPERATOR_IMAGE_PULL_SECRETS": "No_Name"}
    )
    assert refused.exit_code != 0
    assert "IMAGE_PULL_SECRETS" in refused.stderr


def test_everything_is_printed_and_nothing_is_made_up() -> None:
    spec = """
      auth: {type: Bearer}
      httpRoute: {parentRefs: [{name: public}]}
      observability: {serviceMonitor: {type: Enabled}}
    """
    result = flame_operator("render", "-f", "-", text=f"{HEAD}spec: {spec}")
    children = {child["kind"]: child for child in yaml.safe_load_all(result.stdout)}
    assert {"Secret", "HTTPRoute", "ServiceMonitor"} <= children.keys()
    assert base64.b64decode(children["Secret"]["data"]["token"]) == b"generated-by-the-operator"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "contains no FlameMCPServer"),
        ("a: [", "not valid YAML"),
        ("- a", "isn't a Kubernetes object but a list"),
        ("apiVersion: v1\nkind: Pod\n", "expected FlameMCPServer of flamemcp.dev/v1alpha1, found Pod of v1"),
        (HEAD.replace("{name: docs}", "{}"), "metadata.name is missing"),
        (HEAD + "spec: {replicas: two}\n", "spec.replicas: Input should be a valid integer"),
        (HEAD + "spec: {replica: 2}\n", "spec.replica: Extra inputs are not permitted"),
        (HEAD + "spec: [1]\n", "spec: Input should be a valid dictionary"),
        (HEAD.replace("docs", "Docs"), "metadata.name"),
        (HEAD.replace("docs", "d" * 41), "metadata.name"),
    ],
)
def test_what_is_wrong_is_one_line_on_stderr(text: str, message: str) -> None:
    result = flame_operator("render", "-f", "-", text=text)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_bytes_that_are_no_text_are_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(b"\xff\xfe\x00bad")
    result = flame_operator("render", "-f", str(path))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")


def test_a_missing_file_is_a_usage_error() -> None:
    assert flame_operator("render", "-f", "/nowhere.yaml").exit_code == 2


def test_bad_settings_are_named() -> None:
    result = flame_operator("run", env={"FLAME_OPERATOR_WORKERS": "many"})
    assert result.exit_code == 1
    assert "FLAME_OPERATOR_WORKERS" in result.stderr


def test_no_cluster_is_explained(tmp_path: Path) -> None:
    result = flame_operator("run", env={"KUBECONFIG": str(tmp_path / "none")})
    assert result.exit_code == 1
    assert "error: can't log in to a cluster" in result.stderr
