"""Who reaches whom: standing pods, and connections that are really made from inside of pods."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.harness.cluster import Cluster
from tests.harness.errors import HarnessError
from tests.support.e2e import product

PORT = 8080
"""Where a standing pod listens."""

# All at once, as a policy may answer with silence. Bash is in every image of ours, and in Qdrant's.
_PROBE = """
probe() { timeout 3 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null && echo "$1 $2"; }
for target in "$@"; do probe ${target/:/ } & done; wait
"""
_LISTEN = """
import socket, sys, time
listeners = [socket.create_server(("", int(port))) for port in sys.argv[1:]]
print("listening", flush=True)
time.sleep(3600)
"""

Address = tuple[str, int]


def standing_pod(namespace: str, name: str, image: str, **more: object) -> dict[str, Any]:
    """A pod of a server's image that listens on `PORT` and does nothing else; `more` is its container's."""
    command = ["python", "-c", _LISTEN, str(PORT)]
    pod = product.restricted_pod(namespace, name, {"name": name, "image": image, "command": command, **more})
    pod["spec"]["terminationGracePeriodSeconds"] = 0
    return pod


def start(cluster: Cluster, pod: dict[str, Any]) -> None:
    """Makes a pod, and waits until it runs."""
    cluster.kubectl("apply", "-f", "-", input=json.dumps(pod))
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    cluster.kubectl("wait", "-n", namespace, f"pod/{name}", "--for=condition=Ready", "--timeout=60s")


def address(cluster: Cluster, namespace: str, pod: str) -> str:
    """A pod's own address, so that no Service stands between."""
    found: str = product.get(cluster, namespace, f"pod/{pod}")["status"]["podIP"]
    return found


def reached(cluster: Cluster, namespace: str, pod: str, targets: Iterable[Address]) -> set[Address]:
    """Those of the targets to which a connection from the pod comes about."""
    words = [f"{host}:{port}" for host, port in targets]
    probe = ("bash", "-c", _PROBE, "probe", *words)
    told = cluster.kubectl("exec", "-n", namespace, pod, "--", *probe, check=False).stdout
    return {(host, int(port)) for host, port in (line.split() for line in told.splitlines())}


@contextmanager
def listening(cluster: Cluster, namespace: str, pod: str, *ports: int) -> Iterator[None]:
    """Something listens at these ports of a pod of ours while the block runs, so that only policies refuse.

    Raises:
        HarnessError: Nothing could listen there.
    """
    listen = ("python", "-c", _LISTEN, *map(str, ports))
    command = cluster.command("kubectl", "exec", "-n", namespace, pod, "--", *listen)
    environment = os.environ | cluster.environment()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if "listening" not in line:
                raise HarnessError(f"nothing can listen in {pod}: {line.strip()}")
            yield
        finally:
            process.terminate()
