"""What only a real node shows: load that scales, pods that fail, tokens that count, a leader that dies."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastmcp import Client
from fastmcp.client.auth import BearerAuth
from fastmcp.exceptions import ToolError

from tests.harness.cluster import Cluster
from tests.harness.proc import wait_for
from tests.support.e2e import product

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
SERVER_PODS = "app.kubernetes.io/name=flame-mcp-server"
WORDS = (
    "camera",
    "component",
    "collision",
    "sprite",
    "overlay",
    "effect",
    "audio",
    "router",
    "joystick",
    "tile",
)


def condition(cluster: Cluster, namespace: str, kind: str) -> tuple[str, str]:
    status = product.get(cluster, namespace, "fmcp/docs").get("status", {})
    found = {one["type"]: (one["status"], one["reason"]) for one in status.get("conditions", [])}
    return found.get(kind, ("", ""))


def wait_for_condition(
    cluster: Cluster, namespace: str, kind: str, expected: Callable[[tuple[str, str]], bool], seconds: float
) -> float:
    """Waits for a condition and returns how many seconds that took."""
    started = time.monotonic()
    wait_for(f"{kind}", lambda: expected(condition(cluster, namespace, kind)), timeout=seconds)
    return time.monotonic() - started


def replicas(cluster: Cluster, namespace: str) -> int:
    found: int = product.get(cluster, namespace, "deployment/docs")["spec"]["replicas"]
    return found


async def load(address: str, until: Callable[[], bool], seconds: float) -> None:
    """Different questions, some at a time, until the condition holds."""
    deadline = time.monotonic() + seconds
    pairs = itertools.cycle(itertools.permutations(WORDS, 3))
    done = False

    async def ask_on() -> None:
        async with Client(f"{address}/mcp") as client:
            while not done:
                with contextlib.suppress(ToolError):
                    await client.call_tool("get_flame_knowledge", {"query": " ".join(next(pairs))})

    async with asyncio.TaskGroup() as clients:
        for _ in range(4):
            clients.create_task(ask_on())
        try:
            while not await asyncio.to_thread(until):
                assert time.monotonic() < deadline, "the load had no effect"
                await asyncio.sleep(1)  # between two looks, while the load goes on
        finally:
            done = True


def test_load_scales_up_and_its_end_scales_down(installed: Cluster, namespace: str) -> None:
    product.apply(
        installed,
        namespace,
        "docs",
        {
            "autoscaling": {
                "minReplicas": 1,
                "maxReplicas": 3,
                "targetCPUUtilizationPercentage": 60,
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 10}},
            }
        },
    )
    product.wait_ready(installed, namespace, "docs")
    with product.port_forward(installed, namespace, "service/docs", 80) as address:
        asyncio.run(load(address, lambda: replicas(installed, namespace) > 1, 180))
    deployment = json.loads(
        installed.kubectl(
            "get", "-n", namespace, "deployment/docs", "-o", "json", "--show-managed-fields"
        ).stdout
    )
    owners = [
        entry["manager"]
        for entry in deployment["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    ]
    assert not [owner for owner in owners if owner.startswith("flame-operator")]
    wait_for("one replica again", lambda: replicas(installed, namespace) == 1, timeout=240)
    assert condition(installed, namespace, "Ready")[0] == "True"


def test_ready_ends_with_the_pods_and_comes_back_with_them(installed: Cluster, namespace: str) -> None:
    product.apply(installed, namespace, "docs", {})
    product.wait_ready(installed, namespace, "docs")
    nodes = installed.kubectl("get", "nodes", "-o", "name").stdout.split()
    installed.kubectl("cordon", *nodes)
    try:
        installed.kubectl(
            "delete", "pods", "-n", namespace, "-l", SERVER_PODS, "--grace-period=1", "--wait=false"
        )
        took = wait_for_condition(installed, namespace, "Ready", lambda found: found[0] == "False", 30)
        print(f"Ready=False {took:.1f} s after the pods went")
        wait_for(
            "the message to say why",
            lambda: (
                "The pod can't be scheduled"
                in installed.kubectl("get", "-n", namespace, "fmcp/docs", "-o", "json").stdout
            ),
            timeout=60,
        )
    finally:
        installed.kubectl("uncordon", *nodes)
    product.wait_ready(installed, namespace, "docs")
    events = installed.kubectl("describe", "-n", namespace, "fmcp/docs").stdout
    assert "PodsNotReady" in events
    assert events.count("Normal   Ready") <= 1 or "x2" in events


def test_a_generated_token_is_asked_for(installed: Cluster, namespace: str) -> None:
    product.apply(installed, namespace, "docs", {"replicas": 1, "auth": {"type": "Bearer"}})
    product.wait_ready(installed, namespace, "docs")
    assert condition(installed, namespace, "Verified") == ("True", "AnsweringAuthRequired")
    secret = product.get(installed, namespace, "secret/docs")
    token = base64.b64decode(secret["data"]["token"]).decode()

    async def ask(address: str, auth: BearerAuth | None) -> dict[str, Any]:
        async with Client(f"{address}/mcp", auth=auth) as client:
            answer = await client.call_tool("get_flame_knowledge", {"query": product.QUESTION})
            return answer.structured_content or {}

    with product.port_forward(installed, namespace, "service/docs", 80) as address:
        assert asyncio.run(ask(address, BearerAuth(token)))["results"]
        wrong = urllib.request.Request(  # noqa: S310 - forwarded here
            f"{address}/mcp",
            data=b"{}",
            headers={"Authorization": "Bearer wrong", "Content-Type": "application/json"},
        )
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(wrong, timeout=10)  # noqa: S310 - forwarded here
    everything = installed.kubectl("get", "-n", namespace, "fmcp,deploy,cm,svc,events", "-o", "yaml").stdout
    logs = installed.kubectl("logs", "-n", product.SYSTEM_NAMESPACE, f"deployment/{product.RELEASE}").stdout
    assert token not in everything + logs


def test_a_changed_secret_rolls_the_pods(installed: Cluster, namespace: str) -> None:
    def store(token: str) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "tokens", "namespace": namespace},
            "stringData": {"mine": token},
        }
        installed.kubectl("apply", "-f", "-", input=json.dumps(body))

    reference = {"tokenSecretRef": {"name": "tokens", "key": "mine"}}
    product.apply(
        installed, namespace, "docs", {"replicas": 1, "auth": {"type": "Bearer", "bearer": reference}}
    )
    wait_for_condition(
        installed, namespace, "Stalled", lambda found: found == ("True", "ReferenceMissing"), 30
    )
    store("first-token-of-this-test")
    product.wait_ready(installed, namespace, "docs")
    before = product.get(installed, namespace, "deployment/docs")["metadata"]["generation"]
    store("second-token-of-this-test")
    wait_for(
        "a new rollout",
        lambda: product.get(installed, namespace, "deployment/docs")["metadata"]["generation"] > before,
        timeout=90,
    )
    product.wait_ready(installed, namespace, "docs")

    def names() -> set[str]:
        found = product.get(installed, namespace, "pods", "-l", SERVER_PODS)["items"]
        return {pod["metadata"]["name"] for pod in found}

    accepting = names()
    installed.kubectl("delete", "secret", "tokens", "-n", namespace)
    wait_for_condition(installed, namespace, "Ready", lambda found: found == ("False", "TokenGone"), 90)
    # The kubelet keeps a deleted Secret's content in running pods, and starts none without it.
    wait_for(
        "the pods that accept the token to end",
        lambda: not accepting & names(),
        timeout=60,
    )
    store("second-token-of-this-test")
    product.wait_ready(installed, namespace, "docs", timeout=180)


def test_the_other_operator_takes_over(installed: Cluster, namespace: str) -> None:
    def leader() -> str:
        lease = product.get(installed, product.SYSTEM_NAMESPACE, "lease/flame-mcp-operator")
        holder: str = lease["spec"]["holderIdentity"]
        return holder

    first = leader()
    pods = product.get(installed, product.SYSTEM_NAMESPACE, "pods")["items"]
    (pod,) = [one["metadata"]["name"] for one in pods if one["metadata"]["name"] in first]
    installed.kubectl("delete", "pod", pod, "-n", product.SYSTEM_NAMESPACE, "--grace-period=0", "--force")
    started = time.monotonic()
    product.apply(installed, namespace, "docs", {"replicas": 1})
    wait_for(
        "children from the next leader",
        lambda: installed.kubectl("get", "deploy/docs", "-n", namespace, check=False).returncode == 0,
        timeout=30,
    )
    took = time.monotonic() - started
    print(f"the next leader worked {took:.1f} s after the last one was killed")
    assert leader() != first
    assert took <= 15


CHART = {"apiVersion": "v2", "name": "tenant", "version": "1.0.0"}


def test_helm_waits_for_the_answer(installed: Cluster, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(CHART))
    resource = {
        "apiVersion": "flamemcp.dev/v1alpha1",
        "kind": "FlameMCPServer",
        "metadata": {"name": "docs"},
        "spec": {"replicas": 1},
    }
    (tmp_path / "templates" / "server.yaml").write_text(yaml.safe_dump(resource))
    installed.helm(
        "install", "tenant", str(tmp_path), "-n", namespace, "--create-namespace", "--wait", "--timeout=2m"
    )
    assert condition(installed, namespace, "Ready")[0] == "True"
