"""Both images as a user has them: built by plain `docker build`, run by plain `docker run`."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastmcp import Client

from tests.harness import engine as engines
from tests.harness import images
from tests.support.e2e import product

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)  # between two looks, not instead of one


def get(url: str) -> tuple[int, Any]:
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - loopback only
        return response.status, json.load(response)


def inspect(engine: engines.Engine, what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.docker("inspect", what).stdout)[0]
    return found


@pytest.fixture(scope="module")
def server(engine: engines.Engine, built: product.Images) -> Iterator[tuple[str, str]]:
    """The server in a container with half a core, 512 MiB and nothing to write to: (container, URL)."""
    name, port = f"flame-mcp-{uuid.uuid4().hex[:8]}", free_port()
    engine.docker(
        "run", "--detach", "--name", name, "--network", "host",
        "--read-only", "--memory", "512m", "--cpus", "0.5",
        "--env", f"FLAME_MCP_PORT={port}", "--env", "FLAME_MCP_HOST=127.0.0.1", built.server,
    )  # fmt: skip
    try:
        yield name, f"http://127.0.0.1:{port}"
    finally:
        engine.docker("rm", "--force", name)


def test_the_healthcheck_turns_healthy(engine: engines.Engine, server: tuple[str, str]) -> None:
    name, _ = server
    until(
        lambda: inspect(engine, name)["State"]["Health"]["Status"] == "healthy",
        60,
        "healthy\n" + engine.docker("logs", name).stderr,
    )
    assert inspect(engine, name)["RestartCount"] == 0


def test_health_and_readiness(engine: engines.Engine, server: tuple[str, str]) -> None:
    test_the_healthcheck_turns_healthy(engine, server)
    _, url = server
    assert get(f"{url}/health")[0] == 200
    status, ready = get(f"{url}/health/ready")
    assert status == 200
    assert ready["index"]["documents"] > 100


async def test_a_real_client_gets_the_right_page(engine: engines.Engine, server: tuple[str, str]) -> None:
    test_the_healthcheck_turns_healthy(engine, server)
    _, url = server
    async with Client(f"{url}/mcp") as client:
        assert "get_flame_knowledge" in [tool.name for tool in await client.list_tools()]
        answer = (
            await client.call_tool("get_flame_knowledge", {"query": product.QUESTION})
        ).structured_content
    assert answer is not None
    assert answer["degraded"] is None
    assert answer["results"][0]["source_path"] == "flame/collision_detection.md"
    assert answer["results"][0]["url"].startswith("https://docs.flame-engine.org/")


def test_it_stops_within_its_grace_and_cleanly(engine: engines.Engine, built: product.Images) -> None:
    name, port = f"flame-mcp-{uuid.uuid4().hex[:8]}", free_port()
    engine.docker(
        "run", "--detach", "--name", name, "--read-only", "--network", "host",
        "--env", f"FLAME_MCP_PORT={port}", "--env", "FLAME_MCP_HOST=127.0.0.1", built.server,
    )  # fmt: skip
    try:

        def ready() -> bool:
            try:
                return get(f"http://127.0.0.1:{port}/health/ready")[0] == 200
            except OSError:
                return False

        until(ready, 60, "ready")
        engine.docker("stop", "--time", "30", name)
        assert inspect(engine, name)["State"]["ExitCode"] == 0, engine.docker("logs", name).stderr
    finally:
        engine.docker("rm", "--force", name)


# What is inside, as the image's own Python sees it.
CONTENTS = """
import importlib.util, json, shutil, sys
print(json.dumps({
    "modules": [name for name in sys.argv[1].split(",") if importlib.util.find_spec(name)],
    "programs": [name for name in ("gcc", "cc", "make", "git") if shutil.which(name)],
}))
"""


@pytest.mark.parametrize(
    ("which", "foreign"),
    [
        ("server", "kubernetes,kopf,flame_operator,pytest,setuptools,tests"),
        (
            "operator",
            "fastmcp,mcp,onnxruntime,tokenizers,numpy,qdrant_edge,flame_server,pytest,setuptools,tests",
        ),
    ],
)
def test_an_image_holds_only_its_own_part(
    engine: engines.Engine, built: product.Images, which: str, foreign: str
) -> None:
    arguments = (
        "--rm",
        "--read-only",
        "--network",
        "none",
        "--entrypoint",
        "python",
        getattr(built, which),
        "-c",
        CONTENTS,
    )
    contents = json.loads(engine.docker("run", *arguments, foreign).stdout)
    assert contents == {"modules": [], "programs": []}


# What each adds to its base: the server 411 MB, most of it ONNX, NumPy, the embedded Qdrant and the index.
@pytest.mark.parametrize(("which", "mib"), [("server", 480), ("operator", 60)])
def test_an_image_holds_nothing_large_that_nothing_uses(
    engine: engines.Engine, built: product.Images, which: str, mib: int
) -> None:
    """The operator's had 120 MB of the Kubernetes client's models and calls."""
    base = inspect(engine, images.ensure_base(engine, product.pinned(which)))["Size"]
    added = (inspect(engine, getattr(built, which))["Size"] - base) / 1024**2
    print(f"{which}: {added:.0f} MiB on a base of {base / 1024**2:.0f} MiB")
    assert added <= mib


@pytest.mark.parametrize("which", ["server", "operator"])
def test_an_image_says_who_it_runs_as_and_what_it_is(
    engine: engines.Engine, built: product.Images, which: str
) -> None:
    config = inspect(engine, getattr(built, which))["Config"]
    assert config["User"] == "65532:65532"
    assert config["Healthcheck"]["Test"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.version"]


@pytest.mark.parametrize(("which", "command"), [("server", "flame-mcp"), ("operator", "flame-operator")])
def test_the_command_line_explains_itself(
    engine: engines.Engine, built: product.Images, which: str, command: str
) -> None:
    arguments = ("--rm", "--read-only", "--network", "none", getattr(built, which), "--help")
    assert f"Usage: {command}" in engine.docker("run", *arguments).stdout
