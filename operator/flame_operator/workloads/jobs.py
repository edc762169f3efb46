"""Reads from a Job and its pods how a run ended or how far it is. Pure; bounds the output of containers."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from flame_operator.formats.shape import at, mapping, mappings, number, text
from flame_operator.formats.text import plain
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.status import IndexInfo
from flame_operator.workloads.causes import MAX_MESSAGE, exit_code, waits_for_others, why_not_ready

MAX_NAME = 63
MAX_RESULT = 16 * 1024
"""How many characters of a termination message are read; Kubernetes keeps 12 KiB of a pod's."""
_ENDS = ("Complete", "Failed")
Activity = Literal["working", "starting", "stuck"]
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


def ended(job: Manifest, pods: Iterable[Manifest]) -> Ended | None:
    """How a Job ended, or None while it runs."""
    last = finished(job)
    if last is None:
        return None
    results = [result for pod in _newest_first(pods) for result in _results(pod)]
    if last["type"] == "Complete":
        found = next((result for result in results if "error" not in result), {})
        peers, copies = number(found.get("peers")) or 0, number(found.get("copies")) or 0
        done = Ended(True, message=_success(found), index=_index(found), peers=peers, copies=copies)
        return replace(done, message=done.copied) if found.get("step") == "replicate" else done
    failures = [error for result in results if (error := _error(result))]
    if last.get("reason") == "DeadlineExceeded":
        return Ended(
            False,
            "World",
            "It took longer than ingestion.deadlineSeconds allows: raise it, or make the sources smaller.",
        )
    if failures:
        error = failures[0]
        kind = _KINDS.get(text(error.get("kind")), "Internal")
        return Ended(False, kind, plain(error.get("message"), MAX_MESSAGE) or "It failed without a message.")
    why = _why(pods) or plain(last.get("message"), MAX_MESSAGE)
    return Ended(False, "Internal", f"{why} See the log of Job {job['metadata']['name']}.".strip())


def progress(pods: Iterable[Manifest]) -> str:
    """A sentence that tells how far a run is; it stays the same as long as the run does the same thing."""
    newest = next(iter(_newest_first(pods)), None)
    if newest is None:
        return "Its pod is being created."
    names = [
        plain(one.get("name"), MAX_NAME)
        for part in ("initContainers", "containers")
        for one in mappings(at(newest, "spec", part))
    ]
    states = {text(one.get("name")): mapping(one.get("state")) for one in _statuses(newest)}
    for step, name in enumerate(names, 1):
        if "terminated" not in states.get(name, {}):
            if "running" in states.get(name, {}):
                of = f"Step {step} of {len(names)}: " if len(names) > 1 else ""
                return f"{of}{_DOES.get(name, name)}."
            break
    # Between two steps, and between two pods of a Job that tries again.
    failed = next((error for result in _results(newest) if (error := _error(result))), None)
    if failed is not None:
        return f"Trying again: {plain(failed.get('message'), MAX_MESSAGE)}"
    # A container that has ended well isn't the cause: the next step is about to start, or the Job to end.
    unfinished = [one for one in _statuses(newest) if at(one, "state", "terminated", "exitCode") != 0]
    status = {**mapping(newest.get("status")), "containerStatuses": unfinished}
    return why_not_ready([{**newest, "status": status}]) or (
        "Its pod is starting." if unfinished else "It is about to end."
    )


def activity(pods: Iterable[Manifest]) -> Activity:
    """What a Job's pods are doing: whether they cost anybody anything, and whether they will."""
    found = list(pods)
    if any("running" in mapping(one.get("state")) for pod in found for one in _statuses(pod)):
        return "working"
    return "stuck" if waits_for_others(_newest_first(found)[:1]) else "starting"


def _error(result: dict[str, Any]) -> dict[str, Any] | None:
    found = result.get("error")
    return found if isinstance(found, dict) else None


def _statuses(pod: Manifest) -> Iterator[dict[str, Any]]:
    yield from mappings(at(pod, "status", "initContainerStatuses"))
    yield from mappings(at(pod, "status", "containerStatuses"))


def _newest_first(pods: Iterable[Manifest]) -> Sequence[Manifest]:
    return sorted(
        pods,
        key=lambda pod: (text(pod["metadata"].get("creationTimestamp")), text(pod["metadata"].get("name"))),
        reverse=True,
    )


def _results(pod: Manifest) -> Iterator[dict[str, Any]]:
    """The termination messages of a pod's containers that are JSON objects, the last one first."""
    for status in reversed(list(_statuses(pod))):
        found = _parsed(text(at(status, "state", "terminated", "message")))
        if isinstance(found, dict):
            yield found


def _parsed(message: str) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON value that a message holds; None when it holds none, or is larger than a message can be."""
    try:
        return json.loads(message) if len(message) <= MAX_RESULT else None
    except (ValueError, RecursionError):  # brackets within brackets, thousands of them
        return None


def _why(pods: Iterable[Manifest]) -> str:
    for pod in _newest_first(pods):
        for status in _statuses(pod):
            ended_with = mapping(at(status, "state", "terminated"))
            if ended_with.get("reason") == "OOMKilled":
                return "It ran out of memory: raise ingestion.resources.limits.memory."
            if code := exit_code(ended_with):
                return f"Container {plain(status.get('name'), MAX_NAME)} ended with exit code {code}."
    return ""


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
