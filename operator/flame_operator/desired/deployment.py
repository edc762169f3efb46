"""The Deployment of the search server."""

from typing import Any

from flame_operator.desired.config import SHUTDOWN_GRACE_SECONDS
from flame_operator.desired.hashing import digest
from flame_operator.desired.naming import (
    CONFIG_HASH,
    DEFAULT_REPLICAS,
    HTTP_PORT,
    HTTP_PORT_NAME,
    METRICS_PORT,
    METRICS_PORT_NAME,
    REFERENCES_DIGEST,
    Defaults,
    Facts,
    child,
    labels,
    selector_labels,
)
from flame_operator.desired.quantity import container_resources
from flame_operator.desired.references import CREDENTIALS_PATH, Credential, credentials
from flame_operator.desired.scheduling import scheduling
from flame_operator.desired.unions import workload_identity
from flame_operator.model import DEPLOYMENT, SECRET, Manifest, Server

USER_ID = 65532
# A pod leaves the endpoints while it sleeps, so that nothing is sent to a server that has stopped listening.
PRE_STOP_SECONDS = 5
# preStop, then the server's own grace period, then 5 s to spare before SIGKILL.
TERMINATION_GRACE_SECONDS = PRE_STOP_SECONDS + SHUTDOWN_GRACE_SECONDS + 5
CREDENTIALS_MODE = 0o440
# Its webhook gives pods with this label a token of their ServiceAccount, and the variables that name it.
WORKLOAD_IDENTITY_LABEL = "azure.workload.identity/use"


def deployment(server: Server, defaults: Defaults, facts: Facts, config: Manifest) -> Manifest:
    """Pods that pass Pod Security `restricted` and are replaced without a gap when `config` changes."""
    replicas = _replicas(server, facts)
    spec: dict[str, Any] = {
        **({} if replicas is None else {"replicas": replicas}),
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": selector_labels(server.key.name)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {
            "metadata": _pod_metadata(server, facts, config),
            "spec": _pod(server, defaults),
        },
    }
    return {**child(DEPLOYMENT, server), "spec": spec}


def _replicas(server: Server, facts: Facts) -> int | None:
    """How many pods to ask for; None leaves that to whoever scales."""
    replicas = server.spec.replicas
    if server.spec.autoscaling or (replicas is None and facts.scaled_by_others):
        return None
    return DEFAULT_REPLICAS if replicas is None else replicas


def _pod_metadata(server: Server, facts: Facts, config: Manifest) -> dict[str, Any]:
    """What differs between pods that have to be replaced and those that replace them, besides their spec."""
    found = {"labels": labels(server.key.name), "annotations": {CONFIG_HASH: digest(config["data"])}}
    if workload_identity(server):
        found["labels"][WORKLOAD_IDENTITY_LABEL] = "true"
    if facts.references:
        found["annotations"][REFERENCES_DIGEST] = facts.references
    return found


def _pod(server: Server, defaults: Defaults) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "serviceAccountName": server.key.name,
        "automountServiceAccountToken": False,
        # One variable per Service of the namespace would end up in the server's environment.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **scheduling(server),
        "containers": [_container(server, defaults)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
    }
    files = credentials(server)
    if files:
        pod["securityContext"]["fsGroup"] = USER_ID
        pod["volumes"].append(_credentials_volume(files))
        mount = {"name": "credentials", "mountPath": CREDENTIALS_PATH, "readOnly": True}
        pod["containers"][0]["volumeMounts"].append(mount)
    pull_secrets = [secret.name for secret in server.spec.image_pull_secrets] or defaults.image_pull_secrets
    if pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in pull_secrets]
    return pod


def _credentials_volume(files: tuple[Credential, ...]) -> dict[str, Any]:
    """As files, not variables: those end up in crash reports, and in the environment of every process."""
    sources = [
        {
            "secret" if reference.kind is SECRET else "configMap": {
                "name": reference.name,
                "items": [{"key": reference.key, "path": file}],
            }
        }
        for file, reference in files
    ]
    return {"name": "credentials", "projected": {"defaultMode": CREDENTIALS_MODE, "sources": sources}}


def _container(server: Server, defaults: Defaults) -> dict[str, Any]:
    spec = server.spec
    container: dict[str, Any] = {
        "name": "server",
        "image": spec.image or defaults.image,
        "args": ["serve"],
        "envFrom": [{"configMapRef": {"name": server.key.name}}],
        "ports": [
            {"name": HTTP_PORT_NAME, "containerPort": HTTP_PORT, "protocol": "TCP"},
            {"name": METRICS_PORT_NAME, "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        "resources": container_resources(spec.resources),
        # 60 tries: the index and the model are loaded before the first ready, on a throttled CPU.
        "startupProbe": _probe("/health/ready", period=1, failures=60),
        "readinessProbe": _probe("/health/ready", period=5, failures=3),
        "livenessProbe": _probe("/health", period=10, failures=6),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a path inside the container
    }
    if spec.image_pull_policy:
        container["imagePullPolicy"] = spec.image_pull_policy
    if spec.env:
        container["env"] = [{"name": env.name, "value": _literal(env.value)} for env in spec.env]
    return container


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": HTTP_PORT_NAME},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def _literal(value: str) -> str:
    """The value as Kubernetes takes it literally: `$$` stands for `$`, so `$(NAME)` isn't expanded."""
    return value.replace("$", "$$")
