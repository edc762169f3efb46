"""One run of the pipeline: what it does and why, as its Job is named and annotated."""

from dataclasses import dataclass
from typing import Literal

from flame_operator.desired.hashing import digest
from flame_operator.resource.annotations import ATTEMPT, INPUTS, TASK, TRIGGER
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.server import Server

Task = Literal["ingest", "rollback", "snapshot"]


@dataclass(frozen=True)
class Run:
    """One Job.

    Attributes:
        task: What it does.
        trigger: Why it runs: what asked for it, and which time of asking.
        inputs: Digest of all that its result depends on.
        attempt: From 1; the next when one has failed.
    """

    task: Task
    trigger: str
    inputs: str
    attempt: int = 1

    def name(self, server: Server) -> str:
        """The same for the same run, so that whoever has crashed doesn't start it twice."""
        own = digest([server.uid, self.task, self.trigger, self.inputs, self.attempt])[:8]
        return f"{server.key.name}-{self.task}-{own}"


def run_of(job: Manifest) -> Run | None:
    """What a Job was made for; None when it doesn't say."""
    found = job["metadata"].get("annotations") or {}
    if found.get(TASK) not in ("ingest", "rollback", "snapshot"):
        return None
    return Run(found[TASK], found.get(TRIGGER, ""), found.get(INPUTS, ""), int(found.get(ATTEMPT, "1")))
