"""Lines as they are written: by a process of their own, as logging is the whole process's."""

import json
import subprocess
import sys

PROGRAM = """
import asyncio, logging
import structlog
from flame_operator.telemetry.logs import configure_logging
from flame_operator.resource.kinds import Key
from flame_operator.reconcile.queue import WorkQueue
from flame_operator.settings import Settings

configure_logging(Settings())
log = structlog.get_logger("flame_operator.test")

async def reconcile(key):
    log.info("inside")
    raise KeyError("a bug")

async def main():
    queue = WorkQueue(reconcile, workers=1)
    queue.add(Key("team", "docs"))
    queue.stop()
    await queue.run()
    log.info("outside")
    reference = {"namespace": "team", "name": "docs", "kind": "Service"}
    logging.getLogger("kopf.objects").warning("%s", "from kopf", extra={"k8s_ref": reference})
    logging.getLogger("kopf.objects").info("chatter", extra={"k8s_ref": reference})
    logging.getLogger("asyncio").error("an error: <async_generator object infinite_watch at 0x7>")
    logging.getLogger("asyncio").error("another error")

asyncio.run(main())
"""


def test_lines_about_a_resource_name_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    lines = {line["event"]: line for line in map(json.loads, done.stderr.splitlines())}
    ours = {"inside", "unexpected error in a reconcile", "outside"}
    assert set(lines) == {*ours, "from kopf", "another error"}
    for event in ("inside", "unexpected error in a reconcile", "from kopf"):
        assert (lines[event]["namespace"], lines[event]["name"]) == ("team", "docs"), event
    assert "KeyError: 'a bug'" in lines["unexpected error in a reconcile"]["exception"]
    assert not {"namespace", "name"} & set(lines["outside"])
    assert {"timestamp", "level", "logger"} <= set(lines["inside"])
