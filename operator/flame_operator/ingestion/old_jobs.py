"""Tells which Jobs of a server have outlived their runs. Pure."""

from collections.abc import Iterable, Sequence

from flame_operator.formats.times import seconds_between
from flame_operator.ingestion.record import RunRecord
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.server import Server
from flame_operator.workloads.jobs import LINGER_SECONDS, finished


def is_active(job: Manifest) -> bool:
    """Whether a Job may still have pods."""
    return finished(job) is None


def overstaying(record: RunRecord, jobs: Sequence[Manifest], now: str) -> tuple[Manifest, ...]:
    """The Job of a run that ended `LINGER_SECONDS` ago, if containers of others still keep its pod."""
    is_over = seconds_between(record.ended, now) >= LINGER_SECONDS
    return lingering(record, jobs) if is_over else ()


def lingering(record: RunRecord, jobs: Sequence[Manifest]) -> tuple[Manifest, ...]:
    """The Job of a run that has ended, while containers of others still keep its pod from ending."""
    if record.phase == "Running":
        return ()
    return tuple(job for job in jobs if job["metadata"]["name"] == record.job and is_active(job))


def beyond_history(server: Server, record: RunRecord, jobs: Sequence[Manifest]) -> Iterable[Manifest]:
    """The oldest finished Jobs, those that exceed the history limit.

    A Job whose end hasn't been recorded yet is always kept.
    """
    given = server.spec.ingestion
    kept = given.history_limit if given else 3
    over = [job for job in jobs if not is_active(job) and not job["metadata"].get("deletionTimestamp")]
    over.sort(key=lambda job: (job["metadata"].get("creationTimestamp") or "", job["metadata"]["name"]))
    for job in over[: max(len(over) - kept, 0)]:
        if not (record.phase == "Running" and job["metadata"]["name"] == record.job):
            yield job
