"""Makes the Deployment of the search server."""

from typing import Any

from flame_operator.desired.config import SHUTDOWN_GRACE_SECONDS
from flame_operator.desired.hashing import digest
from flame_operator.desired.ingestion_job import deadline_seconds
from flame_operator.desired.inputs import Defaults, Facts
from flame_operator.desired.naming import (
    HTTP_PORT,
    HTTP_PORT_NAME,
    METRICS_PORT,
    METRICS_PORT_NAME,
    child,
    selector_labels,
)
from flame_operator.desired.pod import (
    CONTAINER_SECURITY,
    LAST_WORDS,
    USER_ID,
    WORKLOAD_IDENTITY_LABEL,
    credentials_volume,
    image_fields,
    pod_metadata,
    pod_security,
    pull_secrets,
    server_image,
)
from flame_operator.desired.references import CREDENTIALS_PATH, credentials
from flame_operator.desired.resources import container_resources, count_or_percent
from flame_operator.desired.scheduling import scheduling
from flame_operator.desired.ways_out import ca_mounts, ca_volumes, server_variables
from flame_operator.resource.annotations import CONFIG_HASH, REFERENCES_DIGEST, TOKEN_GONE
from flame_operator.resource.kinds import DEPLOYMENT, Manifest
from flame_operator.resource.server import DEFAULT_REPLICAS, Server
from flame_operator.resource.spec.workload import RollingUpdate
from flame_operator.resource.unions import loads_docs, workload_identity

# While a pod sleeps in preStop it is removed from the endpoints, so that nothing is sent to a server that has
# stopped listening.
PRE_STOP_SECONDS = 5
# preStop, then the server's own grace period, then 5 s to spare before SIGKILL.
TERMINATION_GRACE_SECONDS = PRE_STOP_SECONDS + SHUTDOWN_GRACE_SECONDS + 5


def deployment(server: Server, defaults: Defaults, facts: Facts, config: Manifest) -> Manifest:
    """The Deployment of the search server.

    Its pods comply with the Pod Security level `restricted`. They are replaced without an interruption when
    `config`, the ConfigMap with their environment, changes.
    """
    replicas = _replicas(server, facts)
    spec: dict[str, Any] = {
        **({} if replicas is None else {"replicas": replicas}),
        "revisionHistoryLimit": 3,
        **_progress_deadline(server),
        "selector": {"matchLabels": selector_labels(server.key.name)},
        "strategy": _strategy(server, facts),
        "template": {
            "metadata": _pod_metadata(server, facts, config),
            "spec": _pod(server, defaults),
        },
    }
    return {**child(DEPLOYMENT, server), "spec": spec}


def _progress_deadline(server: Server) -> dict[str, int]:
    """How long pods may take to become ready before their rollout counts as stuck.

    Where Jobs load docs, pods become ready only after the first run, so the run's deadline is added.
    """
    if not loads_docs(server):
        return {}
    return {"progressDeadlineSeconds": deadline_seconds(server) + 600}


def _strategy(server: Server, facts: Facts) -> dict[str, Any]:
    """How pods are replaced: as the spec says, by default without an interruption.

    When they accept a token that was taken away, all old pods end first. The new ones can't start before the
    kubelet can mount the Secret again: they need neither the operator nor anybody who remembers how many pods
    there were.
    """
    given = server.spec.deployment_strategy
    if facts.token_gone or given.type == "Recreate":
        return {"type": "Recreate"}
    counts = given.rolling_update or RollingUpdate()
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {
            "maxUnavailable": count_or_percent(counts.max_unavailable),
            "maxSurge": count_or_percent(counts.max_surge),
        },
    }


def _replicas(server: Server, facts: Facts) -> int | None:
    """How many replicas to ask for; None leaves the number to an autoscaler, or to whoever has set it."""
    replicas = server.spec.replicas
    if server.spec.autoscaling or (replicas is None and facts.scaled_by_others):
        return None
    return DEFAULT_REPLICAS if replicas is None else replicas


def _pod_metadata(server: Server, facts: Facts, config: Manifest) -> dict[str, Any]:
    """The metadata of the pod template, with digests of what pods read: a change of these rolls the pods."""
    annotations = {CONFIG_HASH: digest(config["data"])}
    if digest_of_references := TOKEN_GONE if facts.token_gone else facts.references:
        annotations[REFERENCES_DIGEST] = digest_of_references
    identity = {WORKLOAD_IDENTITY_LABEL: "true"} if workload_identity(server) else {}
    return pod_metadata(server, "server", identity, annotations)


def _pod(server: Server, defaults: Defaults) -> dict[str, Any]:
    files = credentials(server)
    pod: dict[str, Any] = {
        "serviceAccountName": server.key.name,
        "automountServiceAccountToken": False,
        # With links, the environment would get variables for every Service of the namespace.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
        "securityContext": pod_security(defaults, USER_ID, USER_ID, USER_ID if files else None),
        **scheduling(server),
        "containers": [_container(server, defaults)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}, *ca_volumes(server)],
    }
    if files:
        pod["volumes"].append(credentials_volume(files))
        mount = {"name": "credentials", "mountPath": CREDENTIALS_PATH, "readOnly": True}
        pod["containers"][0]["volumeMounts"].append(mount)
    return pod | pull_secrets(server, defaults)


def _container(server: Server, defaults: Defaults) -> dict[str, Any]:
    spec = server.spec
    container: dict[str, Any] = {
        "name": "server",
        **image_fields(server, server_image(server, defaults)),
        "args": ["serve"],
        "envFrom": [{"configMapRef": {"name": server.key.name}}],
        "ports": [
            {"name": HTTP_PORT_NAME, "containerPort": HTTP_PORT, "protocol": "TCP"},
            {"name": METRICS_PORT_NAME, "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        "resources": container_resources(spec.resources),
        "startupProbe": _startup_probe(server),
        "readinessProbe": _probe("/health/ready", period=5, failures=3),
        "livenessProbe": _probe("/health", period=10, failures=6),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "securityContext": CONTAINER_SECURITY,
        **LAST_WORDS,
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path inside the container
            *ca_mounts(server),
        ],
    }
    if variables := server_variables(server, defaults.cluster_domain):
        container["env"] = variables
    return container


def _startup_probe(server: Server) -> dict[str, Any]:
    """A startup probe with 60 tries: the index and the model are loaded first, perhaps on a throttled CPU.

    With Qdrant it doesn't wait for readiness: loading that index may take others an hour, and no restart of
    the pod makes it faster.
    """
    own = server.spec.vector_store.type == "Embedded"
    return _probe("/health/ready" if own else "/health", period=1, failures=60)


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": HTTP_PORT_NAME},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }
