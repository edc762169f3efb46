"""Names the Kubernetes kinds that the operator handles, and the children that a server may have."""

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

Manifest = dict[str, Any]
"""A Kubernetes object in its JSON form."""

GROUP = "flamemcp.dev"
MANAGER = "flame-operator"
"""The children's field manager, and the value of their managed-by label.

A different name would orphan all the fields that are owned under this one.
"""


_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")


def is_name(text: str) -> bool:
    """Whether an object may have this name, or a namespace.

    Where one object names another, Kubernetes often takes any text. In the URL of a request `..`, `?` and
    others would lead to something else.
    """
    return _NAME.fullmatch(text) is not None


class Key(NamedTuple):
    """The key of one FlameMCPServer, or of another namespaced object: its namespace and its name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def can_exist(self) -> bool:
        """Whether an object can have this key: others may come from texts that nobody has checked."""
        return is_name(self.namespace) and is_name(self.name)

    def fields(self) -> dict[str, str]:
        """The fields that name the object in log lines."""
        return self._asdict()


@dataclass(frozen=True)
class Kind:
    """A Kubernetes kind, with what is needed to address its objects in the API."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        """The value of `apiVersion` in manifests of this kind."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """The URL path of an object, of a namespace's objects, or of all objects of this kind.

        Raises:
            ValueError: The name is none, and could lead to another path.
        """
        for part in (namespace, name):
            if part and not is_name(part):
                raise ValueError(f"{part[:100]!r} isn't the name of an object")
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


SERVER = Kind(GROUP, "v1alpha1", "FlameMCPServer", "flamemcpservers")
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
SECRET = Kind("", "v1", "Secret", "secrets")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
SERVICE = Kind("", "v1", "Service", "services")
DISRUPTION_BUDGET = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
AUTOSCALER = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
STATEFUL_SET = Kind("apps", "v1", "StatefulSet", "statefulsets")
JOB = Kind("batch", "v1", "Job", "jobs")
VOLUME_CLAIM = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
INGRESS = Kind("networking.k8s.io", "v1", "Ingress", "ingresses")
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
SERVICE_MONITOR = Kind("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors")
POD = Kind("", "v1", "Pod", "pods")
NAMESPACE = Kind("", "v1", "Namespace", "namespaces")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")
EVENT = Kind("", "v1", "Event", "events")

WATCHED_KINDS = (
    SERVICE_ACCOUNT,
    CONFIG_MAP,
    NETWORK_POLICY,
    DEPLOYMENT,
    SERVICE,
    DISRUPTION_BUDGET,
    AUTOSCALER,
    INGRESS,
    STATEFUL_SET,
    JOB,
)
"""Kinds of children that every cluster has; the informer watches them."""
OPTIONAL_KINDS = (HTTP_ROUTE, SERVICE_MONITOR)
"""Kinds of children whose API may be missing; the operator handles them only when its settings say so."""
CHILD_KINDS = (*WATCHED_KINDS, SECRET, *OPTIONAL_KINDS)
KINDS = {kind.kind: kind for kind in (SERVER, *CHILD_KINDS, VOLUME_CLAIM)}

QDRANT = "-qdrant"
"""The suffix of the children that make up a server's own Qdrant; it follows the server's name."""
QDRANT_PEERS = "-qdrant-headless"
INGESTION = "-ingest"
CHILD_SLOTS = (
    *((kind, "") for kind in CHILD_KINDS if kind not in (STATEFUL_SET, JOB)),
    (SERVICE, QDRANT),
    (SERVICE, QDRANT_PEERS),
    (SECRET, QDRANT),
    (NETWORK_POLICY, QDRANT),
    (STATEFUL_SET, QDRANT),
    (DISRUPTION_BUDGET, QDRANT),
    (NETWORK_POLICY, INGESTION),
)
"""Every child that a server may have, except Jobs: its kind, and the suffix after the server's name."""
CONTENT_BY_NAME = frozenset({CONFIG_MAP})
"""Watched kinds of which only metadata is listed and watched; the content of children is read by name.

Many people write large ConfigMaps, and anybody may label theirs like a child.
"""
CONTENT_OMITTED = "contentOmitted"
"""A mark in the metadata of an object that was read without its content."""
INSTANCE = "app.kubernetes.io/instance"
"""The label of a child that holds the name of its server."""


def key_of(manifest: Manifest) -> Key:
    """The key of an object."""
    return Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"])


def possible_servers(kind: str, key: Key) -> list[Key]:
    """The keys of the servers that may have a child with this kind and key, whether they exist or not.

    There may be several: `docs-qdrant` is the Service of a server with that name, or of the Qdrant of `docs`.
    """
    if kind == SERVER.kind:
        return [key]
    if kind == JOB.kind:  # its name ends with a task and a digest
        name, *ending = key.name.rsplit("-", 2)
        return [Key(key.namespace, name)] if len(ending) == 2 else []
    return [
        Key(key.namespace, key.name.removesuffix(suffix))
        for slot, suffix in CHILD_SLOTS
        if slot.kind == kind and key.name.endswith(suffix)
    ]


def without_content(kind: Kind, metadata: Manifest) -> Manifest:
    """An object of a kind that was read without its content, marked as such."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {**metadata, CONTENT_OMITTED: True},
    }


def is_whole(manifest: Manifest) -> bool:
    """Whether an object was read with its content."""
    return CONTENT_OMITTED not in manifest["metadata"]
