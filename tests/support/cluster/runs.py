"""What a kubelet reports of pods, and how a Job's pod ends."""

import json

from tests.support.cluster.cluster import Cluster, Json


def patch_status(cluster: Cluster, what: str, namespace: str, status: Json) -> None:
    patch = json.dumps({"status": status})
    cluster.kubectl("patch", what, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)


def active(cluster: Cluster, namespace: str) -> list[Json]:
    """The Jobs that haven't ended and aren't being deleted."""
    return [
        job
        for job in cluster.items("jobs", namespace)
        if not job.get("status", {}).get("conditions") and not job["metadata"].get("deletionTimestamp")
    ]


def end(cluster: Cluster, namespace: str, result: Json, *, code: int = 0) -> tuple[str, str]:
    """The pod of the running Job ends with a result; returns the names of Job and last container."""
    cluster.wait_until("a Job", lambda: bool(active(cluster, namespace)))
    (job,) = active(cluster, namespace)
    job_name = job["metadata"]["name"]

    def pods() -> list[Json]:
        return [
            pod
            for pod in cluster.items("pods", namespace)
            if pod["metadata"]["labels"].get("batch.kubernetes.io/job-name") == job_name
            and pod["status"]["phase"] == "Pending"
        ]

    cluster.wait_until("its pod", lambda: bool(pods()))
    name, last = pods()[0]["metadata"]["name"], pods()[0]["spec"]["containers"][-1]
    state = {
        "exitCode": code,
        "message": json.dumps(result),
        "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T00:00:01Z",
    }
    container = {
        "name": last["name"], "image": last["image"], "imageID": "", "ready": False, "restartCount": 0,
        "state": {"terminated": state},
    }  # fmt: skip
    phase = "Succeeded" if code == 0 else "Failed"
    patch_status(cluster, f"pod/{name}", namespace, {"phase": phase, "containerStatuses": [container]})
    return job_name, last["name"]
