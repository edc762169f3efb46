"""`make demo`: the main job, told so that a person enjoys reading it."""

from __future__ import annotations

import asyncio
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

from fastmcp import Client

from tests.e2e import product
from tests.harness.cluster import Cluster
from tests.harness.console import say, step
from tests.harness.errors import HarnessError
from tests.harness.flame_docs import DocsError

NAMESPACE = "flame-demo"
NAME = "flame-docs"
SHOWN = 3
LINES = 8


def head(title: str) -> None:
    say(f"\n{title}\n{'-' * len(title)}")


async def ask(url: str) -> tuple[dict[str, Any], float]:
    """The answer to the question, and how many milliseconds the call took."""
    async with Client(url) as client:
        started = time.monotonic()
        answer = await client.call_tool("get_flame_knowledge", {"query": product.QUESTION, "limit": SHOWN})
        elapsed = (time.monotonic() - started) * 1000
    return answer.structured_content or {}, elapsed


def excerpt(content: str) -> str:
    """The first lines of a passage, indented; code keeps its shape."""
    lines: list[str] = []
    for line in content.strip().splitlines():
        lines += (
            textwrap.wrap(line, 100, break_long_words=False, break_on_hyphens=False) or [""]
            if not line.startswith(" ")
            else [line]
        )
    more = ["..."] if len(lines) > LINES else []
    return textwrap.indent("\n".join(lines[:LINES] + more), "     ")


def show(answer: dict[str, Any], milliseconds: float) -> None:
    """The passages with their links."""
    for number, result in enumerate(answer["results"], 1):
        say(f"\n  {number}. {' > '.join(result['breadcrumb'])}\n     {result['url']}\n")
        say(excerpt(result["content"]))
    say(f"\n  {len(answer['results'])} passages in {milliseconds:.0f} ms, through kubectl port-forward")


def how_to_go_on(cluster: Cluster) -> None:
    """What a person would type next."""
    head("How to go on")
    say(f"""\
  export KUBECONFIG={cluster.kubeconfig} PATH={Path(cluster.command("kubectl")[0]).parent}:$PATH
  kubectl get fmcp -A
  kubectl describe -n {NAMESPACE} fmcp/{NAME}

  Let your assistant ask: keep this running
    kubectl port-forward -n {NAMESPACE} service/{NAME} 8000:80
  and give it the URL http://127.0.0.1:8000/mcp, for example
    claude mcp add --transport http flame http://127.0.0.1:8000/mcp

  make down    stops everything""")


def main() -> None:
    """Run the main job and show the answer."""
    started = time.monotonic()
    say("Flame MCP, end to end: a cluster, the operator, a search server, an answer\n")
    cluster, _ = product.prepare()
    applied = time.monotonic()
    with step(f"kubectl apply: FlameMCPServer {NAMESPACE}/{NAME} with `spec: {{}}`, until it is Ready"):
        product.apply(cluster, NAMESPACE, NAME, {})
        product.wait_ready(cluster, NAMESPACE, NAME)
    ready = time.monotonic() - applied

    head(f"Asked through MCP: {product.QUESTION}")
    with product.port_forward(cluster, NAMESPACE, f"service/{NAME}", 80) as address:
        answer, milliseconds = asyncio.run(ask(f"{address}/mcp"))
    show(answer, milliseconds)

    head("kubectl get fmcp")
    say(textwrap.indent(cluster.kubectl("get", "-n", NAMESPACE, "fmcp").stdout.rstrip(), "  "))
    how_to_go_on(cluster)
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    took = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    say(f"\nDone in {took}; the resource was Ready {ready:.0f} s after kubectl apply.")


if __name__ == "__main__":
    try:
        main()
    except (HarnessError, DocsError) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        sys.exit(1)
