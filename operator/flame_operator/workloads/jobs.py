"""Reads from a Job and its pods how a run ended or how far it is. Pure; bounds the output of containers."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from flame_operator.formats.text import plain
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.status import IndexInfo
from flame_operator.workloads.causes import why_not_ready

MAX_MESSAGE = 600
Failure = Literal["", "User", "World", "Internal", "Held"]
_KINDS: dict[str, Failure] = {"user": "User", "world": "World", "held": "Held", "internal": "Internal"}
_DOES = {
    "fetch": "fetching the sources",
    "build": "cutting pages into chunks and embedding them",
    "publish": "loading the new collection and checking it",
    "rollback": "going back to the previous index",
    "snapshot": "taking a snapshot",
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
    """

    succeeded: bool
    failure: Failure = ""
    message: str = ""
    index: Manifest = field(default_factory=dict)


def finished(job: Manifest) -> dict[str, Any] | None:
    """The condition with which a Job has finished, or None while the Job may still have pods."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return next(
        (one for one in conditions if one["type"] in ("Complete", "Failed") and one["status"] == "True"), None
    )


def ended(job: Manifest, pods: Iterable[Manifest]) -> Ended | None:
    """How a Job ended, or None while it runs."""
    last = finished(job)
    if last is None:
        return None
    results = [result for pod in _newest_first(pods) for result in _results(pod)]
    if last["type"] == "Complete":
        found = next((result for result in results if "error" not in result), {})
        return Ended(True, message=_success(found), index=_index(found))
    failures = [error for result in results if (error := _error(result))]
    if last.get("reason") == "DeadlineExceeded":
        return Ended(
            False,
            "World",
            "It took longer than ingestion.deadlineSeconds allows: raise it, or make the sources smaller.",
        )
    if failures:
        error = failures[0]
        kind = _KINDS.get(str(error.get("kind")), "Internal")
        return Ended(False, kind, plain(error.get("message"), MAX_MESSAGE) or "It failed without a message.")
    why = _why(pods) or plain(last.get("message"), MAX_MESSAGE)
    return Ended(False, "Internal", f"{why} See the log of Job {job['metadata']['name']}.".strip())


def progress(pods: Iterable[Manifest]) -> str:
    """A sentence that tells how far a run is; it stays the same as long as the run does the same thing."""
    newest = next(iter(_newest_first(pods)), None)
    if newest is None:
        return "Its pod is being created."
    spec = newest["spec"]
    names = [one["name"] for one in (*spec.get("initContainers", ()), *spec["containers"])]
    states = {one["name"]: one.get("state") or {} for one in _statuses(newest)}
    for number, name in enumerate(names, 1):
        if "terminated" not in states.get(name, {}):
            if "running" in states.get(name, {}):
                of = f"Step {number} of {len(names)}: " if len(names) > 1 else ""
                return f"{of}{_DOES.get(name, name)}."
            break
    # Between two steps, and between two pods of a Job that tries again.
    failed = next((error for result in _results(newest) if (error := _error(result))), None)
    if failed is not None:
        return f"Trying again: {plain(failed.get('message'), MAX_MESSAGE)}"
    # A container that has ended well isn't the cause: the next step is about to start, or the Job to end.
    unfinished = [one for one in _statuses(newest) if _exit_code(one) != 0]
    status = {**(newest.get("status") or {}), "containerStatuses": unfinished}
    return why_not_ready([{**newest, "status": status}]) or (
        "Its pod is starting." if unfinished else "It is about to end."
    )


def _exit_code(status: dict[str, Any]) -> int | None:
    ended_with = (status.get("state") or {}).get("terminated") or {}
    return ended_with.get("exitCode")


def _error(result: dict[str, Any]) -> dict[str, Any] | None:
    found = result.get("error")
    return found if isinstance(found, dict) else None


def _statuses(pod: Manifest) -> Iterator[dict[str, Any]]:
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _newest_first(pods: Iterable[Manifest]) -> Sequence[Manifest]:
    return sorted(
        pods,
        key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", pod["metadata"]["name"]),
        reverse=True,
    )


def _results(pod: Manifest) -> Iterator[dict[str, Any]]:
    """The termination messages of a pod's containers that are JSON objects, the last one first."""
    for status in reversed(list(_statuses(pod))):
        text = ((status.get("state") or {}).get("terminated") or {}).get("message")
        try:
            found = json.loads(text) if isinstance(text, str) else None
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def _why(pods: Iterable[Manifest]) -> str:
    for pod in _newest_first(pods):
        for status in _statuses(pod):
            ended_with = (status.get("state") or {}).get("terminated") or {}
            if ended_with.get("reason") == "OOMKilled":
                return "It ran out of memory: raise ingestion.resources.limits.memory."
            if ended_with.get("exitCode"):
                return f"Container {status['name']} ended with exit code {ended_with['exitCode']}."
    return ""


def _index(result: Manifest) -> Manifest:
    documents, chunks = result.get("documents"), result.get("chunks")
    return IndexInfo(
        collection=plain(result.get("collection"), 255),
        documents=documents if type(documents) is int else None,
        chunks=chunks if type(chunks) is int else None,
        source_revision=plain(result.get("sourceRevision"), 256),
        embedding=plain(result.get("embedding"), 256),
    ).as_status()


def _success(result: Manifest) -> str:
    index = _index(result)
    if "chunks" not in index:
        return "Done."
    skipped = result.get("skipped")
    left_out = f", {skipped} pages left out (see the Job's log)" if type(skipped) is int and skipped else ""
    return f"{index.get('documents', '?')} pages, {index['chunks']} chunks{left_out}."
