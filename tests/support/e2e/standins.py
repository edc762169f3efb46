"""What e2e tests have in place of what can't be had: an image of Qdrant, and a git server in the cluster.

`QDRANT_IMAGE` names a real image that the cluster can pull; the stand-in is used where it names none.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness import engine as engines
from tests.harness import flame_docs, images, paths
from tests.harness.cluster import Cluster
from tests.harness.console import say
from tests.harness.pki import Authority, Certificate
from tests.support.e2e import product

GIT_PORT = 8443
NEW_PAGE = "flame/zeppelins.md"
NEW_TEXT = """\
# Zeppelins

A zeppelin is a rigid airship. In Flame a `ZeppelinComponent` drifts with the wind unless it is anchored.
"""
NEW_QUESTION = "How does a zeppelin drift with the wind?"
"""A page that the docs don't have, and what only it answers."""
_PYTHON = ("python", "-m", "tests.git_server")


def image(cluster: Cluster, built: product.Images) -> str:
    """The stand-ins' image, built from its contents and brought to the nodes."""
    name = f"flame-mcp/standins:{product.tag('tests/qdrant_standin', 'tests/git_server', salt=built.server)}"
    engine = engines.ensure()
    if not engine.image_id(name):
        flame_docs.stage()
        dockerfile = paths.REPO / "tests/support/e2e/Dockerfile.standins"
        engine.build(dockerfile, name, paths.REPO, {"SERVER_IMAGE": built.server})
    images.load(cluster, engine, name)
    return name


def qdrant_image(cluster: Cluster, built: product.Images) -> str:
    """The image that Qdrant servers run."""
    if given := os.environ.get("QDRANT_IMAGE"):
        return given
    say("no QDRANT_IMAGE is given: a stand-in takes Qdrant's place, the same API over the client's engine")
    return image(cluster, built)


@dataclass(frozen=True)
class GitServer:
    """A git server in a namespace, whose certificate the ConfigMap `git-authority` vouches for."""

    cluster: Cluster
    namespace: str
    url: str

    def run(self, *command: str) -> str:
        """A command of `tests.git_server` in its pod; what it prints, most often a commit."""
        return self.cluster.kubectl(
            "exec", "-n", self.namespace, "pod/git", "--", *_PYTHON, *command
        ).stdout.strip()


def git_server(cluster: Cluster, namespace: str, standins: str) -> GitServer:
    """Starts a git server of the Flame docs in a namespace that is there, and waits until it serves."""
    host = f"git.{namespace}.svc"
    authority = Authority(paths.state() / "git-authority")
    certificate, key = authority.pair(f"git-{namespace}", Certificate("git", addresses=(host,)))
    metadata = {"name": "git", "namespace": namespace, "labels": {"app": "git"}}
    objects = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": _files(certificate, key)},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {**metadata, "name": "git-authority"},
            "data": {"ca.crt": authority.certificate.read_text()},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"app": "git"}, "ports": [{"port": 443, "targetPort": GIT_PORT}]},
        },
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": _pod(standins)},
    ]
    cluster.kubectl(
        "apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    )
    cluster.kubectl("wait", "-n", namespace, "pod/git", "--for=condition=Ready", "--timeout=120s")
    return GitServer(cluster, namespace, f"https://{host}/flame.git")


def full_stack(git: GitServer) -> dict[str, Any]:
    """A spec that loads its docs from that server."""
    authority = {"name": "git-authority", "key": "ca.crt"}
    return {
        "replicas": 1,
        "vectorStore": {"type": "Managed", "managed": {"reclaimPolicy": "Delete"}},
        "ingestion": {
            "sources": [
                {
                    "name": "flame",
                    "git": {"url": git.url, "caBundleConfigMapRef": authority},
                    "siteURL": "https://docs.flame-engine.org/latest",
                }
            ],
            "schedule": "0 3 * * *",
        },
        # A git server inside the cluster has to be let through.
        "networkPolicy": {
            "egressTo": [{"podSelector": {"matchLabels": {"app": "git"}}, "ports": [{"port": GIT_PORT}]}]
        },
    }


def _files(certificate: Path, key: Path) -> dict[str, str]:
    return {
        name: b64encode(file.read_bytes()).decode()
        for name, file in (("tls.crt", certificate), ("tls.key", key))
    }


def _pod(standins: str) -> dict[str, object]:
    serve = ["serve", "--docs=/docs", "--certificate=/tls/tls.crt", "--key=/tls/tls.key"]
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "fsGroup": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "git",
                "image": standins,
                "command": [*_PYTHON, *serve],
                "env": [{"name": "USER", "value": "git"}, {"name": "HOME", "value": "/repository"}],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "readinessProbe": {"tcpSocket": {"port": GIT_PORT}, "periodSeconds": 1},
                "volumeMounts": [
                    {"name": "tls", "mountPath": "/tls"},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path inside the container
                    {"name": "repository", "mountPath": "/repository"},
                ],
            }
        ],
        "volumes": [
            {"name": "tls", "secret": {"secretName": "git"}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "repository", "emptyDir": {}},
        ],
    }
