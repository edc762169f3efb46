"""Says what kubelets would say of pods: clusters of tests have no node."""

import json
import time

from tests.support.cluster.cluster import Cluster


def set_pods_ready(cluster: Cluster, namespace: str, *, ready: bool) -> None:
    """What kubelets would report; the controllers carry it into the Deployment."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    truth = "True" if ready else "False"
    status = {
        "phase": "Running",
        "conditions": [{"type": kind, "status": truth, "lastTransitionTime": now} for kind in ("Ready",)],
    }
    for pod in cluster.items("pods", namespace):
        name = pod["metadata"]["name"]
        patch = json.dumps({"status": status})
        what = ("patch", "pod", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
        cluster.kubectl(*what, check=False)  # a rollout may have removed it meanwhile
