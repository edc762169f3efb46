"""The main job in steps, shared by the demo and the tests: images, operator, resource, answer.

As a program it prepares what the e2e tests need, with progress: cluster, images, installed operator.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tests.harness import cluster as clusters
from tests.harness import engine as engines
from tests.harness import flame_docs, gateway, images
from tests.harness.console import step
from tests.harness.errors import HarnessError
from tests.harness.paths import REPO

OPERATOR_CHART = REPO / "helm" / "flame-mcp-operator"
PIN = re.compile(r"^ARG PYTHON_IMAGE=(\S+)$", re.MULTILINE)
"""The image that a Dockerfile starts from."""
SYSTEM_NAMESPACE = "flame-mcp-system"
RELEASE = "flame-mcp-operator"
QUESTION = "How do I detect that two components collide?"


@dataclass(frozen=True)
class Images:
    """References of the two images that were built."""

    server: str
    operator: str


def tag(*paths: str, salt: str = "") -> str:
    """A tag out of the contents: the same inputs give the same tag, so nothing rolls or loads twice."""
    digest = hashlib.sha256(salt.encode())
    for path in paths:
        top = REPO / path
        for file in sorted([top] if top.is_file() else top.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc":
                digest.update(f"{file.relative_to(REPO)}\0".encode())
                digest.update(file.read_bytes())
    return "dev-" + digest.hexdigest()[:12]


def given() -> Images | None:
    """Images that are in a registry already, as `FLAME_SERVER_IMAGE` and `FLAME_OPERATOR_IMAGE` name them.

    Raises:
        HarnessError: only one of the two is named.
    """
    server, operator = os.environ.get("FLAME_SERVER_IMAGE"), os.environ.get("FLAME_OPERATOR_IMAGE")
    if bool(server) != bool(operator):
        raise HarnessError("set both FLAME_SERVER_IMAGE and FLAME_OPERATOR_IMAGE, or neither")
    return Images(server=server, operator=operator) if server and operator else None


def references() -> Images:
    """What the images are called when they are built here: by their contents."""
    server = tag(*sources("server"), salt=flame_docs.fingerprint())
    operator = tag(*sources("operator"))
    return Images(server=f"flame-mcp/server:{server}", operator=f"flame-mcp/operator:{operator}")


def sources(image: str) -> tuple[str, ...]:
    """What an image is made of, without what builds leave behind in its distribution's folder."""
    locks = ("requirements/build.txt", f"requirements/{image}.txt")
    code = (f"{image}/pyproject.toml", f"{image}/flame_{image}")
    return (f"Dockerfile.{image}", "LICENSE", "NOTICE", *locks, *code)


def pinned(image: str) -> str:
    """The base image that the Dockerfile of an image names."""
    (found,) = PIN.findall((REPO / f"Dockerfile.{image}").read_text())
    return str(found)


def build_images(engine: engines.Engine) -> Images:
    """Build both images from the Dockerfiles, unless images of the same contents are there."""
    wanted = references()
    base = images.ensure_base(engine, pinned("server"))
    revision = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=REPO, capture_output=True, text=True, check=False
    )
    arguments = {"PYTHON_IMAGE": base, "REVISION": revision.stdout.strip() or "unknown"}
    if not engine.image_id(wanted.operator):
        engine.build(REPO / "Dockerfile.operator", wanted.operator, REPO, arguments)
    if not engine.image_id(wanted.server):
        flame_docs.stage()
        engine.build(REPO / "Dockerfile.server", wanted.server, REPO, arguments | flame_docs.build_args())
    return wanted


def provide_images(cluster: clusters.Cluster) -> Images:
    """Both images where the cluster's nodes find them: given ones, else built here and brought there."""
    if images_given := given():
        return images_given
    engine = engines.ensure()
    built = build_images(engine)
    images.load(cluster, engine, built.server)
    images.load(cluster, engine, built.operator)
    return built


def split(reference: str) -> tuple[str, str]:
    """Repository and tag of an image reference (`host:port/name:tag` included)."""
    repository, _, tag = reference.rpartition(":")
    return repository, tag


def install_operator(
    cluster: clusters.Cluster, built: Images, qdrant: str, chart: Path = OPERATOR_CHART, *more: str
) -> None:
    """`helm upgrade --install` of a chart with these images; returns when the operator runs.

    `more` are options for helm.
    """
    qdrant_repository, qdrant_tag = split(qdrant)
    (operator, operator_tag), (server, server_tag) = split(built.operator), split(built.server)
    cluster.helm(
        "upgrade", "--install", RELEASE, str(chart),
        "--namespace", SYSTEM_NAMESPACE, "--create-namespace", "--wait", "--timeout", "3m",
        "--set", f"image.repository={operator},image.tag={operator_tag}",
        "--set", f"server.image.repository={server},server.image.tag={server_tag}",
        "--set", f"qdrant.image.repository={qdrant_repository},qdrant.image.tag={qdrant_tag}",
        "--set", "referencePollSeconds=10",  # tests wait for it
        *more,
    )  # fmt: skip


def apply_namespace(cluster: clusters.Cluster, namespace: str) -> None:
    """Make a namespace that enforces Pod Security `restricted`, unless it is there."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": namespace, "labels": labels}
    cluster.kubectl(
        "apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    )


def apply(cluster: clusters.Cluster, namespace: str, name: str, spec: dict[str, Any]) -> None:
    """Apply a FlameMCPServer, making its namespace if need be."""
    apply_namespace(cluster, namespace)
    one = {
        "apiVersion": "flamemcp.dev/v1alpha1",
        "kind": "FlameMCPServer",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    cluster.kubectl("apply", "-f", "-", input=json.dumps(one))


def annotate(cluster: clusters.Cluster, namespace: str, name: str, annotation: str) -> None:
    """Set an annotation of the product's on a FlameMCPServer, `KEY=VALUE`, or remove it, `KEY-`."""
    cluster.kubectl("annotate", "-n", namespace, f"fmcp/{name}", f"flamemcp.dev/{annotation}", "--overwrite")


def wait_ready(cluster: clusters.Cluster, namespace: str, name: str, timeout: int = 120) -> None:
    """Wait until the resource says Ready; what it says instead is in the error.

    Raises:
        HarnessError: it isn't Ready in `timeout` seconds.
    """
    resource = f"fmcp/{name}"
    waited = cluster.kubectl(
        "wait", "-n", namespace, "--for=condition=Ready", resource, f"--timeout={timeout}s", check=False
    )
    if waited.returncode:
        described = cluster.kubectl("describe", "-n", namespace, resource, check=False).stdout
        pods = cluster.kubectl("get", "-n", namespace, "pods,events", check=False).stdout
        raise HarnessError(
            f"{resource} is not Ready after {timeout} s: {waited.stderr.strip()}\n{described}\n{pods}"
        )


def wait_settled(cluster: clusters.Cluster, namespace: str, name: str, timeout: int = 60) -> None:
    """Wait until all pods run the current spec: Ready is true before, as the old ones answer meanwhile."""
    generation = get(cluster, namespace, f"fmcp/{name}")["metadata"]["generation"]
    for what in (f"jsonpath={{.status.observedGeneration}}={generation}", "condition=Reconciling=False"):
        cluster.kubectl("wait", "-n", namespace, f"fmcp/{name}", f"--for={what}", f"--timeout={timeout}s")


def get(cluster: clusters.Cluster, namespace: str, *what: str) -> dict[str, Any]:
    """`kubectl get -o json`."""
    found: dict[str, Any] = json.loads(cluster.kubectl("get", "-n", namespace, *what, "-o", "json").stdout)
    return found


def pods(cluster: clusters.Cluster, namespace: str, label: str) -> set[tuple[str, int]]:
    """The pods with a label, and how often their containers have started anew."""
    found = get(cluster, namespace, "pods", "-l", label)["items"]
    return {(pod["metadata"]["name"], pod["status"]["containerStatuses"][0]["restartCount"]) for pod in found}


def ask_from_a_pod(
    cluster: clusters.Cluster, namespace: str, url: str, question: str, image: str
) -> dict[str, Any]:
    """Ask through the Service, from inside the cluster, with a real MCP client in a pod."""
    answer: dict[str, Any] = json.loads(
        run_in_a_pod(cluster, namespace, image, ["ask", "--url", url, "--json", question])
    )
    return answer


def restricted_pod(namespace: str, name: str, container: dict[str, Any]) -> dict[str, Any]:
    """A pod of one container, as Pod Security `restricted` wants it."""
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{**container, "securityContext": security}],
        },
    }


def run_in_a_pod(
    cluster: clusters.Cluster,
    namespace: str,
    image: str,
    args: list[str],
    *,
    environment: dict[str, str] | None = None,
    secret: str = "",
    labels: dict[str, str] | None = None,
) -> str:
    """Run `flame-mcp` in a pod, with the files of a Secret below /secret if one is named; what it prints.

    Without labels that a server's Qdrant knows, its NetworkPolicy lets nobody in.

    Raises:
        HarnessError: It failed; its output is in the error.
    """
    name = "run-" + hashlib.sha256(os.urandom(8)).hexdigest()[:8]
    container = {
        "name": "run",
        "image": image,
        "args": args,
        "env": [{"name": key, "value": value} for key, value in (environment or {}).items()],
        "volumeMounts": [{"name": "secret", "mountPath": "/secret"}] if secret else [],
    }
    pod = restricted_pod(namespace, name, container)
    pod["metadata"]["labels"] = labels or {}
    pod["spec"]["volumes"] = [{"name": "secret", "secret": {"secretName": secret}}] if secret else []
    cluster.kubectl("apply", "-f", "-", input=json.dumps(pod))
    ended = "{.status.containerStatuses[0].state.terminated"
    pod_name = f"pod/{name}"
    try:
        cluster.kubectl("wait", "-n", namespace, pod_name, f"--for=jsonpath={ended}}}", "--timeout=90s")
        code = cluster.kubectl("get", "-n", namespace, pod_name, f"-ojsonpath={ended}.exitCode}}").stdout
        logs = cluster.kubectl("logs", "-n", namespace, name).stdout
        if code != "0":
            raise HarnessError(f"{args} in a pod failed with exit code {code}:\n{logs}")
        return logs
    finally:
        cluster.kubectl("delete", "-n", namespace, pod_name, "--wait=false", check=False)


@contextmanager
def port_forward(cluster: clusters.Cluster, namespace: str, target: str, port: int) -> Iterator[str]:
    """`kubectl port-forward` to a port of the target while the block runs; yields its address here.

    Raises:
        HarnessError: kubectl gave up before it forwarded.
    """
    command = cluster.command("kubectl", "port-forward", "-n", namespace, target, f":{port}")
    environment = os.environ | cluster.environment()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as forward:
        try:
            # "Forwarding from 127.0.0.1:41234 -> 8000" comes once it listens.
            line = forward.stdout.readline() if forward.stdout else ""
            if "Forwarding from " not in line:
                raise HarnessError(f"cannot forward to {target}: {line.strip()}")
            yield "http://" + line.split()[2]
        finally:
            forward.terminate()


def prepare() -> tuple[clusters.Cluster, Images]:
    """Everything that a first resource needs: a cluster with the operator and both images."""
    cluster = clusters.up()
    built = provide_images(cluster)
    from tests.support.e2e import standins  # noqa: PLC0415 - it needs what is here

    qdrant = standins.qdrant_image(cluster, built)
    with step("operator installed with helm"):
        install_operator(cluster, built, qdrant)
    return cluster, built


@click.command()
@click.option("--images-only", is_flag=True, help="Build the images and stop.")
def main(images_only: bool) -> None:
    """Prepare a cluster with the operator, as the e2e tests need it."""
    try:
        if images_only:
            built = build_images(engines.ensure())
            click.echo(f"{built.server}\n{built.operator}")
        else:
            cluster, _ = prepare()
            if cluster.kind == "binaries":
                gateway.programs()
    except (HarnessError, flame_docs.DocsError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
