"""Describes one run of the pipeline, which names and annotates its Job."""

from dataclasses import dataclass
from typing import Literal

from flame_operator.desired.hashing import digest
from flame_operator.formats.shape import mapping, text
from flame_operator.formats.text import plain
from flame_operator.resource.annotations import ATTEMPT, INPUTS, TASK, TRIGGER
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.server import Server

Task = Literal["ingest", "rollback", "snapshot", "replicate"]
MAX_TRIGGER, MAX_INPUTS = 512, 64
"""How many characters of a run's trigger and of its inputs the status has room for."""


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
    found = mapping(job["metadata"].get("annotations"))
    task = found.get(TASK)
    if task not in ("ingest", "rollback", "snapshot", "replicate"):
        return None
    # Whoever may write Jobs may have written these annotations, and the status has room for so much only.
    trigger, inputs = plain(found.get(TRIGGER), MAX_TRIGGER), plain(found.get(INPUTS), MAX_INPUTS)
    return Run(task, trigger, inputs, _attempt(text(found.get(ATTEMPT))))


def _attempt(written: str) -> int:
    """The number of an attempt; 1 when it isn't a number that the operator would have written."""
    is_number = written.isascii() and written.isdecimal() and len(written) <= 9
    return max(1, int(written)) if is_number else 1
