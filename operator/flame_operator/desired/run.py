"""Describes one run of the pipeline, which names and annotates its Job."""

from dataclasses import dataclass
from typing import Literal

from flame_operator.desired.hashing import digest
from flame_operator.resource.annotations import ATTEMPT, INPUTS, TASK, TRIGGER
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.server import Server

Task = Literal["ingest", "rollback", "snapshot"]


@dataclass(frozen=True)
class Run:
    """One run of the pipeline: one Job.

    Attributes:
        task: What the run does.
        trigger: Why it runs: what asked for it, and which request it was.
        inputs: The digest of everything that its result depends on.
        attempt: Counts from 1; a retry of a failed run has the next number.
    """

    task: Task
    trigger: str
    inputs: str
    attempt: int = 1

    def name(self, server: Server) -> str:
        """The name of the run's Job. Equal runs have the same name, so a crash never starts a run twice."""
        own = digest([server.uid, self.task, self.trigger, self.inputs, self.attempt])[:8]
        return f"{server.key.name}-{self.task}-{own}"


def run_of(job: Manifest) -> Run | None:
    """The run that a Job was made for, read from its annotations; None when they don't tell."""
    found = job["metadata"].get("annotations") or {}
    if found.get(TASK) not in ("ingest", "rollback", "snapshot"):
        return None
    return Run(found[TASK], found.get(TRIGGER, ""), found.get(INPUTS, ""), int(found.get(ATTEMPT, "1")))
