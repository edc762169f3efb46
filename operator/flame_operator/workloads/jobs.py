"""Reads from a Job and its pods how a run ended or how far it is. Pure; bounds the output of containers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from flame_operator.formats.shape import at, mapping, mappings, number, text
from flame_operator.formats.text import plain
from flame_operator.formats.times import seconds_between
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.status import IndexInfo
from flame_operator.workloads.causes import (
    RUN_PODS,
    Cause,
    exit_code,
    newest_first,
    statuses,
    waits_for_others,
    why_not_ready,
)
from flame_operator.workloads.words import MAX_MESSAGE, parsed

MAX_RESULT = 16 * 1024
"""How many characters of a termination message are read; Kubernetes keeps 12 KiB of a pod's."""
LINGER_SECONDS = 60.0
"""How long a pod may go on after its last step has ended: containers of others may never end."""
ENDING = "It is about to end."
_ENDS = ("Complete", "Failed")
Activity = Literal["working", "starting", "waiting", "stuck"]
"""Whether a container of a run works, will soon, or can't unless somebody does something."""
Failure = Literal["", "User", "World", "Internal", "Held"]
_KINDS: dict[str, Failure] = {"user": "User", "world": "World", "held": "Held", "internal": "Internal"}
_DOES = {
    "fetch": "fetching the sources",
    "build": "cutting pages into chunks and embedding them",
    "publish": "loading the new collection and checking it",
    "rollback": "going back to the previous index",
    "snapshot": "taking a snapshot",
    "replicate": "copying collections to peers that lack them",
}


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        succeeded: Whether the run succeeded.
        failure: Whose fault a failure was.
        message: What the user should know or do.
        index: The index that is searched now, in the form of `status.index`; empty when the run didn't report
            it.
        peers: How many peers Qdrant has; 0 when the run didn't report it.
        copies: How many copies of each collection they have at least; likewise.
    """

    succeeded: bool
    failure: Failure = ""
    message: str = ""
    index: Manifest = field(default_factory=dict)
    peers: int = 0
    copies: int = 0

    @property
    def copied(self) -> str:
        """How many copies of the collections there are, for the user."""
        return f"{self.copies} copies on {self.peers} peers."


def finished(job: Manifest) -> dict[str, Any] | None:
    """The condition with which a Job has finished, or None while the Job may still have pods."""
    conditions = mappings(at(job, "status", "conditions"))
    return next(
        (one for one in conditions if one.get("type") in _ENDS and one.get("status") == "True"),
        None,
    )


def ended(job: Manifest, pods: Iterable[Manifest], *, progress: str = "", now: str = "") -> Ended | None:
    """How a run ended, or None while it goes on.

    Its own steps decide: a run whose last step has succeeded is a success, even if containers that others
    have added to the pod fail, or never end.

    Args:
        job: The run's Job.
        pods: The Job's pods.
        progress: What was last told of the run: Kubernetes deletes the pod of a run that takes too long.
        now: The time, RFC 3339 in UTC.
    """
    pods, last = newest_first(pods), finished(job)
    results = [result for pod in pods for result in _results(job, pod)]
    if any(_is_done(job, pod) for pod in pods) or (last is not None and last["type"] == "Complete"):
        found = next((result for result in results if "error" not in result), {})
        peers, copies = number(found.get("peers")) or 0, number(found.get("copies")) or 0
        done = Ended(True, message=_success(found), index=_index(found), peers=peers, copies=copies)
        return replace(done, message=done.copied) if found.get("step") == "replicate" else done
    if last is None and not (pods and _hangs(job, pods[0], now)):
        return None
    error = next((error for result in results if (error := _error(result))), None)
    if error is not None:
        kind = _KINDS.get(text(error.get("kind")), "Internal")
        return Ended(False, kind, plain(error.get("message"), MAX_MESSAGE) or "It failed without a message.")
    cause = why_not_ready(pods, RUN_PODS)
    if last is not None and last.get("reason") == "DeadlineExceeded":
        return Ended(False, "World", _too_late(cause.message if cause else progress))
    why = cause.message if cause else plain(mapping(last).get("message"), MAX_MESSAGE)
    return Ended(False, "Internal", f"{why} See the log of Job {job['metadata']['name']}.".strip())


def _too_late(why: str) -> str:
    """What to do about a run that took too long: more time helps only one that has been at work."""
    if not why or any(does in why for does in (*_DOES.values(), ENDING)):
        return "It took longer than ingestion.deadlineSeconds allows: raise it, or make the sources smaller."
    return f"It was stopped after ingestion.deadlineSeconds, and hadn't got to work. {why}"


def _steps(job: Manifest) -> list[str]:
    """The names of a run's own containers, in the order in which they run."""
    pod = at(job, "spec", "template", "spec")
    names = [
        text(one.get("name")) for part in ("initContainers", "containers") for one in mappings(at(pod, part))
    ]
    return [name for name in names if name in _DOES]


def _own(job: Manifest, pod: Manifest) -> dict[str, dict[str, Any]]:
    """The statuses of the run's own containers by name, in the order in which they run."""
    found = {text(one.get("name")): one for one in statuses(pod)}
    return {name: found.get(name, {}) for name in _steps(job)}


def _is_done(job: Manifest, pod: Manifest) -> bool:
    """Whether the last step of a run has succeeded."""
    last = next(reversed(_own(job, pod).values()), {})
    return exit_code(mapping(at(last, "state", "terminated"))) == 0


def _hangs(job: Manifest, pod: Manifest, now: str) -> bool:
    """Whether the last step has failed, and something that isn't the run's keeps the pod from ending."""
    last = mapping(at(next(reversed(_own(job, pod).values()), {}), "state", "terminated"))
    since = text(last.get("finishedAt"))
    return (
        bool(last and now)
        and at(pod, "status", "phase") == "Running"
        and (seconds_between(since, now) >= LINGER_SECONDS)
    )


def progress(job: Manifest, pods: Iterable[Manifest], cause: Cause | None = None) -> str:
    """A sentence that tells how far a run is; it stays the same as long as the run does the same thing.

    Args:
        job: The run's Job.
        pods: The Job's pods.
        cause: What keeps it from going on, as far as that is known.
    """
    newest = next(iter(newest_first(pods)), None)
    if newest is None:
        return cause.message if cause else "Its pod is being created."
    own = _own(job, newest)
    for step, (name, status) in enumerate(own.items(), 1):
        if at(status, "state", "running") is not None:
            of = f"Step {step} of {len(own)}: " if len(own) > 1 else ""
            return f"{of}{_DOES[name]}."
    # Between two steps, and between two pods of a Job that tries again.
    failed = next((error for result in _results(job, newest) if (error := _error(result))), None)
    if failed is not None:
        return f"Trying again: {plain(failed.get('message'), MAX_MESSAGE)}"
    if _is_done(job, newest):
        return ENDING
    return cause.message if cause else "Its pod is starting."


def activity(job: Manifest, pods: Iterable[Manifest]) -> Activity:
    """What a Job's pods are doing: whether they cost anybody anything, and whether they will.

    One that is `starting` has a node, one that is `waiting` has none yet, and one that is `stuck` gets none,
    no image, or nothing to mount.
    """
    found = newest_first(pods)
    if any(at(one, "state", "running") is not None for pod in found for one in _own(job, pod).values()):
        return "working"
    if waits_for_others(found[:1]):
        return "stuck"
    return "starting" if any(at(pod, "spec", "nodeName") or statuses(pod) for pod in found[:1]) else "waiting"


def _error(result: dict[str, Any]) -> dict[str, Any] | None:
    found = result.get("error")
    return found if isinstance(found, dict) else None


def _results(job: Manifest, pod: Manifest) -> Iterator[dict[str, Any]]:
    """The termination messages of the run's own containers that are JSON objects, the last one first."""
    for status in reversed(list(_own(job, pod).values())):
        message = text(at(status, "state", "terminated", "message"))
        found = parsed(message) if len(message) <= MAX_RESULT else None
        if isinstance(found, dict):
            yield found


def _index(result: Manifest) -> Manifest:
    return IndexInfo(
        collection=plain(result.get("collection"), 255),
        documents=number(result.get("documents")),
        chunks=number(result.get("chunks")),
        source_revision=plain(result.get("sourceRevision"), 256),
        embedding=plain(result.get("embedding"), 256),
    ).as_status()


def _success(result: Manifest) -> str:
    index = _index(result)
    if "chunks" not in index:
        return "Done."
    skipped = number(result.get("skipped"))
    left_out = f", {skipped} pages left out (see the Job's log)" if skipped else ""
    return f"{index.get('documents', '?')} pages, {index['chunks']} chunks{left_out}."
