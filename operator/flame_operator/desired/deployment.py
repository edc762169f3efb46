"""The Deployment of the search server."""

from typing import Any

from flame_operator.desired.config import SHUTDOWN_GRACE_SECONDS
from flame_operator.desired.hashing import digest
from flame_operator.desired.naming import (
    CONFIG_HASH,
    DEFAULT_REPLICAS,
    HTTP_PORT,
    HTTP_PORT_NAME,
    Defaults,
    child,
    labels,
    selector_labels,
)
from flame_operator.desired.quantity import container_resources
from flame_operator.model import DEPLOYMENT, Manifest, Server

USER_ID = 65532
# A pod leaves the endpoints while it sleeps, so that nothing is sent to a server that has stopped listening.
PRE_STOP_SECONDS = 5
# preStop, then the server's own grace period, then 5 s to spare before SIGKILL.
TERMINATION_GRACE_SECONDS = PRE_STOP_SECONDS + SHUTDOWN_GRACE_SECONDS + 5


def deployment(server: Server, defaults: Defaults, config: Manifest) -> Manifest:
    """Pods that pass Pod Security `restricted` and are replaced without a gap when `config` changes."""
    name = server.key.name
    return {
        **child(DEPLOYMENT, server),
        "spec": {
            "replicas": DEFAULT_REPLICAS if server.spec.replicas is None else server.spec.replicas,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": selector_labels(name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": labels(name), "annotations": {CONFIG_HASH: digest(config["data"])}},
                "spec": _pod(server, defaults),
            },
        },
    }


def _pod(server: Server, defaults: Defaults) -> dict[str, Any]:
    spec, name = server.spec, server.key.name
    pod: dict[str, Any] = {
        "serviceAccountName": name,
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
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector_labels(name)},
            }
        ],
        "containers": [_container(server, defaults)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
    }
    if spec.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret.name} for secret in spec.image_pull_secrets]
    if spec.scheduling.node_selector:
        pod["nodeSelector"] = dict(spec.scheduling.node_selector)
    if spec.scheduling.tolerations:
        pod["tolerations"] = [
            toleration.model_dump(by_alias=True, exclude_none=True)
            for toleration in spec.scheduling.tolerations
        ]
    if spec.scheduling.priority_class_name:
        pod["priorityClassName"] = spec.scheduling.priority_class_name
    return pod


def _container(server: Server, defaults: Defaults) -> dict[str, Any]:
    spec = server.spec
    container: dict[str, Any] = {
        "name": "server",
        "image": spec.image or defaults.image,
        "args": ["serve"],
        "envFrom": [{"configMapRef": {"name": server.key.name}}],
        "ports": [{"name": HTTP_PORT_NAME, "containerPort": HTTP_PORT, "protocol": "TCP"}],
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
