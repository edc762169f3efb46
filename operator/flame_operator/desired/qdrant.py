"""Makes the children that run a server's managed Qdrant."""

from collections.abc import Iterator, Mapping
from typing import Any

from flame_operator.desired.egress import Rule, dns
from flame_operator.desired.hashing import digest
from flame_operator.desired.inputs import Defaults, Facts
from flame_operator.desired.naming import (
    QDRANT_PEER_PORT,
    QDRANT_PORT,
    QDRANT_READ_KEY,
    QDRANT_WRITE_KEY,
    Component,
    child,
    metadata_of_children,
    selector_labels,
)
from flame_operator.desired.pod import (
    CONTAINER_SECURITY,
    LAST_WORDS,
    image_fields,
    pod_metadata,
    pod_security,
    pull_secrets,
)
from flame_operator.desired.qdrant_join import join_command
from flame_operator.desired.resources import DefaultResources, container_resources
from flame_operator.desired.scheduling import placement, spread_of_qdrant
from flame_operator.resource.annotations import KEYS_HASH
from flame_operator.resource.kinds import (
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    QDRANT,
    QDRANT_PEERS,
    SECRET,
    SERVICE,
    STATEFUL_SET,
    Kind,
    Manifest,
)
from flame_operator.resource.server import Server
from flame_operator.resource.spec.backends import Managed
from flame_operator.resource.unions import managed_qdrant

# The IDs that Qdrant's own unprivileged image and chart use.
USER_ID, GROUP_ID, VOLUME_GROUP_ID = 1000, 2000, 3000
VOLUME = "storage"
FIGURES = DefaultResources(
    requests={"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "64Mi"},
    limits={"cpu": "1", "memory": "1Gi", "ephemeral-storage": "512Mi"},
)
TERMINATION_GRACE_SECONDS = 60
_PORTS = (("http", QDRANT_PORT), ("grpc", 6334), ("p2p", QDRANT_PEER_PORT))


def qdrant(server: Server, defaults: Defaults, facts: Facts) -> Iterator[Manifest]:
    """The children that run the server's managed Qdrant; none when it has none.

    Raises:
        ValueError: The keys aren't known. Leaving the Secret out instead would delete the existing one.
    """
    managed = managed_qdrant(server)
    if managed is None:
        return
    if facts.qdrant_keys is None:
        raise ValueError(f"{server.key}: the generated Qdrant keys have to be known")
    yield {**_child(SECRET, server), "type": "Opaque", "data": dict(facts.qdrant_keys)}
    if server.spec.network_policy.type != "Disabled":
        yield _network_policy(server, defaults)
    yield _service(server)
    yield _peers(server)
    yield _stateful_set(server, managed, defaults, facts, facts.qdrant_keys)
    if managed.replicas > 1:
        yield {
            **_child(DISRUPTION_BUDGET, server),
            "spec": {
                "maxUnavailable": 1,
                "selector": {"matchLabels": selector_labels(server.key.name, "qdrant")},
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
        }


def unkeyed_digest(keys: Mapping[str, str]) -> str:
    """The digest of keys that anybody can compute, so that short keys could be guessed from it."""
    return digest(dict(keys))


def _child(kind: Kind, server: Server, suffix: str = QDRANT) -> Manifest:
    return child(kind, server, suffix=suffix, component="qdrant")


def _service(server: Server) -> Manifest:
    """The Service that clients use; it reaches only pods that are ready."""
    return {
        **_child(SERVICE, server),
        "spec": {
            "type": "ClusterIP",
            "selector": selector_labels(server.key.name, "qdrant"),
            "ports": [{"name": "http", "port": QDRANT_PORT, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def _peers(server: Server) -> Manifest:
    """The headless Service that gives each pod a DNS name: peers must connect before any of them is ready."""
    return {
        **_child(SERVICE, server, QDRANT_PEERS),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": selector_labels(server.key.name, "qdrant"),
            "ports": [
                {"name": name, "port": port, "targetPort": name, "protocol": "TCP"} for name, port in _PORTS
            ],
        },
    }


def _network_policy(server: Server, defaults: Defaults) -> Manifest:
    """The NetworkPolicy: the server's pods, its ingestion and peers may connect to Qdrant.

    Qdrant itself may connect only to its peers and to DNS.
    """
    name = server.key.name
    peers = {"podSelector": {"matchLabels": selector_labels(name, "qdrant")}}
    users: tuple[Component, ...] = ("server", "ingestion")
    return {
        **_child(NETWORK_POLICY, server),
        "spec": {
            "podSelector": {"matchLabels": selector_labels(name, "qdrant")},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [{"podSelector": {"matchLabels": selector_labels(name, user)}} for user in users],
                    "ports": [{"protocol": "TCP", "port": QDRANT_PORT}],
                },
                {"from": [peers], "ports": [{"protocol": "TCP", "port": port} for _, port in _PORTS]},
            ],
            "egress": [
                dns(defaults),
                {"to": [peers], "ports": [{"protocol": "TCP", "port": port} for _, port in _PORTS]},
            ],
        },
    }


def to_qdrant(server: Server) -> Rule:
    """The egress rule for pods that use the server's managed Qdrant."""
    return {
        "to": [{"podSelector": {"matchLabels": selector_labels(server.key.name, "qdrant")}}],
        "ports": [{"protocol": "TCP", "port": QDRANT_PORT}],
    }


def _stateful_set(
    server: Server, managed: Managed, defaults: Defaults, facts: Facts, keys: Mapping[str, str]
) -> Manifest:
    name = server.key.name
    keys_digest = facts.qdrant_keys_digest or unkeyed_digest(keys)
    # They can't be changed later: the claims keep those that they were made with.
    of_claims = metadata_of_children(server) if facts.claim_metadata is None else facts.claim_metadata
    metadata = {field: value for field, value in of_claims.items() if value}
    storage: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": str(managed.storage.size)}},
    }
    if managed.storage.storage_class_name is not None:
        storage["storageClassName"] = managed.storage.storage_class_name
    return {
        **_child(STATEFUL_SET, server),
        "spec": {
            "replicas": facts.qdrant_replicas or managed.replicas,
            "serviceName": f"{name}{QDRANT_PEERS}",
            "selector": {"matchLabels": selector_labels(name, "qdrant")},
            # With OrderedReady, Kubernetes would wait until the first pod is ready, but that needs its peers.
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "RollingUpdate"},
            "minReadySeconds": 5,
            "revisionHistoryLimit": 3,
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": managed.reclaim_policy,
                "whenScaled": "Retain",
            },
            "template": {
                # If somebody has deleted or edited the Secret, the new keys need a new process.
                "metadata": pod_metadata(server, "qdrant", own_annotations={KEYS_HASH: keys_digest}),
                "spec": _pod(server, managed, defaults),
            },
            "volumeClaimTemplates": [{"metadata": {"name": VOLUME, **metadata}, "spec": storage}],
        },
    }


def _pod(server: Server, managed: Managed, defaults: Defaults) -> dict[str, Any]:
    selector = {"labelSelector": {"matchLabels": selector_labels(server.key.name, "qdrant")}}
    prefer_other_nodes = {
        "weight": 100,
        "podAffinityTerm": {**selector, "topologyKey": "kubernetes.io/hostname"},
    }
    placed = placement(server)
    return {
        # Qdrant never talks to the Kubernetes API, and doesn't get the server's identity.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
        "securityContext": {
            **pod_security(defaults, USER_ID, GROUP_ID, VOLUME_GROUP_ID),
            "fsGroupChangePolicy": "OnRootMismatch",
        },
        **placed,
        **spread_of_qdrant(server),
        "affinity": {
            **placed.get("affinity", {}),
            "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [prefer_other_nodes]},
        },
        **pull_secrets(server, defaults),
        "containers": [_container(server, managed, defaults)],
        "volumes": [
            {"name": "init", "emptyDir": {"sizeLimit": "1Mi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
        ],
    }


def _container(server: Server, managed: Managed, defaults: Defaults) -> dict[str, Any]:
    return {
        "name": "qdrant",
        **image_fields(server, managed.image or defaults.qdrant_image),
        "command": join_command(server.key.name),
        "env": [
            _from_secret(server, "QDRANT__SERVICE__API_KEY", QDRANT_WRITE_KEY),
            _from_secret(server, "QDRANT__SERVICE__READ_ONLY_API_KEY", QDRANT_READ_KEY),
            {"name": "QDRANT__SERVICE__HTTP_PORT", "value": str(QDRANT_PORT)},
            {"name": "QDRANT__STORAGE__STORAGE_PATH", "value": "/qdrant/storage"},
            {"name": "QDRANT__STORAGE__SNAPSHOTS_PATH", "value": "/qdrant/snapshots"},
            {"name": "QDRANT__TELEMETRY_DISABLED", "value": "true"},
            {"name": "QDRANT_INIT_FILE_PATH", "value": "/qdrant/init/.qdrant-initialized"},
            # A single peer, too: no other can join one that runs without.
            {"name": "QDRANT__CLUSTER__ENABLED", "value": "true"},
        ],
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in _PORTS],
        "resources": container_resources(managed.resources, FIGURES),
        # No liveness and no startup probe: a restart while segments load only makes Qdrant load them again.
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": "http"},
            "periodSeconds": 5,
            "timeoutSeconds": 3,
            "failureThreshold": 3,
        },
        # The pod is removed from the Service before it stops listening.
        "lifecycle": {"preStop": {"sleep": {"seconds": 3}}},
        "securityContext": CONTAINER_SECURITY,
        **LAST_WORDS,
        # Snapshots are on the volume of the data: a single volume to grow, with a single reclaim policy.
        "volumeMounts": [
            {"name": VOLUME, "mountPath": "/qdrant/storage", "subPath": "storage"},
            {"name": VOLUME, "mountPath": "/qdrant/snapshots", "subPath": "snapshots"},
            {"name": "init", "mountPath": "/qdrant/init"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path inside the container
        ],
    }


def _from_secret(server: Server, variable: str, key: str) -> dict[str, Any]:
    reference = {"name": f"{server.key.name}{QDRANT}", "key": key}
    return {"name": variable, "valueFrom": {"secretKeyRef": reference}}
