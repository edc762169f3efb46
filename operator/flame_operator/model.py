"""The FlameMCPServer resource, and the Kubernetes kinds that the operator deals with."""

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from flame_operator.errors import InvalidSpec
from flame_operator.spec import ServerSpec

Manifest = dict[str, Any]
"""A Kubernetes object as JSON has it."""

GROUP = "flamemcp.dev"
MANAGER = "flame-operator"
"""Field manager of the children and value of the managed-by label; another would orphan all owned fields."""


class Key(NamedTuple):
    """Names one FlameMCPServer."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def fields(self) -> dict[str, str]:
        """How log lines name it."""
        return self._asdict()


@dataclass(frozen=True)
class Kind:
    """A kind as the API server addresses it."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        """What manifests say in `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """The URL path of an object, of a namespace's objects, or of all objects of this kind."""
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
"""Kinds of children that every cluster has; their events are watched."""
OPTIONAL_KINDS = (HTTP_ROUTE, SERVICE_MONITOR)
"""Kinds of children whose API may be missing; the operator deals with them only when its settings say so."""
CHILD_KINDS = (*WATCHED_KINDS, SECRET, *OPTIONAL_KINDS)
KINDS = {kind.kind: kind for kind in (SERVER, *CHILD_KINDS, VOLUME_CLAIM)}

QDRANT = "-qdrant"
"""What the name of a server's own vector store has behind the server's."""
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
"""Every child that a server may have, but for Jobs: its kind, and what stands behind the server's name."""
INSTANCE = "app.kubernetes.io/instance"
"""The label with the name of the server whose child an object is."""


def key_of(manifest: Manifest) -> Key:
    """Where an object is."""
    return Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"])


def controller(child: Manifest) -> dict[str, Any] | None:
    """The owner reference of the object's controller, if it has one."""
    references = child["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def server_of(manifest: Manifest) -> Key:
    """The server whose child an object is, or that it is itself.

    Its owner says so, else its label; somebody may have removed either, and most children have the server's
    own name.
    """
    metadata = manifest["metadata"]
    owner = controller(manifest)
    if manifest["kind"] == SERVER.kind:
        name = metadata["name"]
    elif owner is not None and owner.get("kind") == SERVER.kind:
        name = owner["name"]
    else:
        name = (metadata.get("labels") or {}).get(INSTANCE) or metadata["name"]
    return Key(metadata["namespace"], name)


@dataclass(frozen=True)
class Server:
    """One FlameMCPServer: who it is, and its spec."""

    key: Key
    uid: str
    generation: int
    labels: dict[str, str]
    annotations: dict[str, str]
    created: str
    """When, as Kubernetes writes times; empty for one that isn't in a cluster."""
    spec: ServerSpec


# As in the CRD: children have the same name, and a Service's is the strictest.
_SERVER_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?")


def parse_server(body: Manifest, *, forbid_unknown: bool = False) -> Server:
    """The typed server of an object as the API server sends it.

    Args:
        body: The whole object.
        forbid_unknown: Refuse fields that the model doesn't have, which tests and `render` want.

    Raises:
        InvalidSpec: The name or the spec doesn't fit; the message names each field.
    """
    metadata = body["metadata"]
    if not _SERVER_NAME.fullmatch(metadata["name"]):
        raise InvalidSpec(
            "metadata.name must be a DNS label that starts with a letter and has at most 40 characters"
        )
    try:
        spec = ServerSpec.model_validate(
            body.get("spec") or {},
            by_alias=True,
            by_name=False,
            extra="forbid" if forbid_unknown else "ignore",
        )
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, ('spec', *detail['loc'])))}: {detail['msg']}"
            for detail in error.errors(include_url=False, include_input=False)
        )
        raise InvalidSpec(found) from error
    return Server(
        key=key_of(body),
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 0),
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        created=metadata.get("creationTimestamp") or "",
        spec=spec,
    )
