"""`make demo`: the main job, told so that a person enjoys reading it; `MODE=full-stack` with the pipeline."""

from __future__ import annotations

import asyncio
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import click
from fastmcp import Client

from tests.harness import volumes
from tests.harness.cluster import Cluster
from tests.harness.console import say, step
from tests.harness.errors import HarnessError
from tests.harness.flame_docs import DocsError
from tests.support.e2e import product, standins

NAMESPACE = "flame-demo"
NAME = "flame-docs"
NOTICED_SECONDS = 30
"""Servers look for a new collection every ten seconds."""
SHOWN = 3
LINES = 8


def head(title: str) -> None:
    say(f"\n{title}\n{'-' * len(title)}")


async def ask(url: str, question: str, limit: int = SHOWN) -> tuple[dict[str, Any], float]:
    """The answer to a question, and how many milliseconds the call took."""
    async with Client(url) as client:
        started = time.monotonic()
        answer = await client.call_tool("get_flame_knowledge", {"query": question, "limit": limit})
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
    count = len(answer["results"])
    passages = "one passage" if count == 1 else f"{count} passages"
    say(f"\n  {passages} in {milliseconds:.0f} ms, through kubectl port-forward")


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


def answer_to(cluster: Cluster, question: str, limit: int = SHOWN) -> None:
    """Ask, and show what comes back."""
    head(f"Asked through MCP: {question}")
    with product.port_forward(cluster, NAMESPACE, f"service/{NAME}", 80) as address:
        answer, milliseconds = asyncio.run(ask(f"{address}/mcp", question, limit))
    show(answer, milliseconds)


def standalone(cluster: Cluster, _: product.Images) -> None:
    """`spec: {}`, and a question."""
    with step(f"kubectl apply: FlameMCPServer {NAMESPACE}/{NAME} with `spec: {{}}`, until it is Ready"):
        product.apply(cluster, NAMESPACE, NAME, {})
        product.wait_ready(cluster, NAMESPACE, NAME)
        product.wait_settled(cluster, NAMESPACE, NAME)  # it may have been the full stack before
    answer_to(cluster, product.QUESTION)


def full_stack(cluster: Cluster, built: product.Images) -> None:
    """Qdrant, and docs from a git server: a question, a commit, and a question that only it answers."""
    volumes.provide(cluster, 1)
    with step("a git server in the cluster, with the Flame docs"):
        product.apply_namespace(cluster, NAMESPACE)
        git = standins.git_server(cluster, NAMESPACE, standins.image(cluster, built))
    with step(
        f"kubectl apply: FlameMCPServer {NAMESPACE}/{NAME} with Qdrant and ingestion, until it is Ready"
    ):
        product.apply(cluster, NAMESPACE, NAME, standins.full_stack(git))
        product.wait_ready(cluster, NAMESPACE, NAME, timeout=240)
        wait_for_run(cluster, "spec")
    answer_to(cluster, product.QUESTION, 1)

    with step(
        "git commit: a page about zeppelins; kubectl annotate flamemcp.dev/reindex, until it is loaded"
    ):
        git.run("change", standins.NEW_PAGE, standins.NEW_TEXT)
        asked = str(int(time.time()))
        product.annotate(cluster, NAMESPACE, NAME, f"reindex={asked}")
        wait_for_run(cluster, f"reindex/{asked}")
    with step("until a server answers from it"):
        wait_until_noticed(cluster)
    answer_to(cluster, standins.NEW_QUESTION, 1)
    head("kubectl get jobs,statefulsets,pvc")
    found = cluster.kubectl("get", "-n", NAMESPACE, "jobs,statefulsets,pvc")
    say(textwrap.indent(found.stdout.rstrip(), "  "))


def wait_until_noticed(cluster: Cluster) -> None:
    """Wait until the page of the commit is found."""
    deadline = time.monotonic() + NOTICED_SECONDS
    with product.port_forward(cluster, NAMESPACE, f"service/{NAME}", 80) as address:
        while True:
            answer, _ = asyncio.run(ask(f"{address}/mcp", standins.NEW_QUESTION, 1))
            if answer["results"] and answer["results"][0]["source_path"] == standins.NEW_PAGE:
                return
            if time.monotonic() > deadline:
                raise HarnessError(f"{standins.NEW_PAGE} is not found {NOTICED_SECONDS} s after its load")
            time.sleep(0.5)  # between two looks, not instead of one


def wait_for_run(cluster: Cluster, trigger: str) -> None:
    """Wait until the run with this trigger has succeeded."""
    for what in (f"{{.status.ingestion.trigger}}={trigger}", "{.status.ingestion.phase}=Succeeded"):
        cluster.kubectl("wait", "-n", NAMESPACE, f"fmcp/{NAME}", f"--for=jsonpath={what}", "--timeout=180s")


MODES = {"standalone": standalone, "full-stack": full_stack}


@click.command()
@click.option("--mode", type=click.Choice(list(MODES)), default="standalone", show_default=True)
def main(mode: str) -> None:
    """Run the main job and show the answer."""
    started = time.monotonic()
    say("Flame MCP, end to end: a cluster, the operator, a search server, an answer\n")
    try:
        cluster, built = product.prepare()
        applied = time.monotonic()
        MODES[mode](cluster, built)
    except (HarnessError, DocsError) as error:
        click.echo(f"\nerror: {error}", err=True)
        sys.exit(1)
    took = time.monotonic() - applied

    head("kubectl get fmcp")
    say(textwrap.indent(cluster.kubectl("get", "-n", NAMESPACE, "fmcp").stdout.rstrip(), "  "))
    how_to_go_on(cluster)
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    whole = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    say(f"\nDone in {whole}, of which {took:.0f} s from kubectl apply to the last answer.")


if __name__ == "__main__":
    main()
