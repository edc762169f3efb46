"""Runs kopf's watch of servers in a process of its own, and measures it: kopf takes over signals.

The process is killed when it has seen enough, since kopf lets nobody end it at once.
"""

import asyncio
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from flame_operator.informer.cache import Cache
from flame_operator.informer.watch import watch
from flame_operator.resource.kinds import Manifest
from tests.support.operator.under_attack import ROOT, Costs, measured


async def main(number: int) -> None:
    cache, seen, enough = Cache(), list[str](), asyncio.Event()

    def take(body: Manifest, *, deleted: bool) -> None:
        seen.append(f"{'-' if deleted else ''}{body['metadata']['name']}")
        if deleted:
            cache.drop(body)
        else:
            cache.put(body)
        if len(seen) == number:
            enough.set()

    async with measured() as costs:
        watching = asyncio.create_task(watch(take))
        waiting = asyncio.create_task(enough.wait())
        await asyncio.wait([watching, waiting], return_when=asyncio.FIRST_COMPLETED)
    if watching.done():
        watching.result()
    print(json.dumps({"costs": asdict(costs), "seen": seen, "kept": len(cache)}), flush=True)
    os._exit(0)


async def watched_by_kopf(address: str, folder: Path, number: int) -> tuple[Costs, list[str]]:
    """What it costs until kopf has told of so many events, and the names that they were about."""
    folder.joinpath("config").write_text(
        json.dumps(
            {
                "current-context": "x",
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                "clusters": [{"name": "x", "cluster": {"server": address}}],
                "users": [{"name": "x", "user": {"token": "x"}}],
            }
        )
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.operator.kopf_watch", str(number)),
        cwd=ROOT,
        env={**os.environ, "KUBECONFIG": str(folder / "config")},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(180):
            text, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    found = json.loads(text.splitlines()[-1])
    return Costs(**found["costs"]), found["seen"]


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
