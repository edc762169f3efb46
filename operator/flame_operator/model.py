"""The FlameMCPServer resource as typed, frozen values, and the Kubernetes kinds that the operator deals with.

`crds/flamemcpservers.yaml` is the one source of the schema; a test compares it with these classes both ways.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from flame_operator.errors import InvalidSpec

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
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
SERVICE = Kind("", "v1", "Service", "services")
CHILD_KINDS = (SERVICE_ACCOUNT, CONFIG_MAP, DEPLOYMENT, SERVICE)
KINDS = {kind.kind: kind for kind in (SERVER, *CHILD_KINDS)}


def key_of(manifest: Manifest) -> Key:
    """Where an object is. Children carry their server's name, so this is a child's server as well."""
    return Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"])


class _Spec(BaseModel):
    # "ignore": an older operator must go on working when a newer CRD has fields that it doesn't know.
    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


def _digits(value: object) -> object:
    return str(value) if type(value) is int else value


_QuantityText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=24,
        pattern=r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2}|[numkMGTPE]|[KMGTPE]i)?$",
    ),
]
Quantity = Annotated[_QuantityText, BeforeValidator(_digits, json_schema_input_type=_QuantityText)]
"""A Kubernetes quantity, e.g. `500m` or `512Mi`; YAML's plain integers are taken too."""

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
LabelName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=317,
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
    ),
]
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]
Annotations = Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=16)]


def _not_ours(name: str) -> str:
    if name.startswith(("FLAME_MCP_", "FASTMCP_")):
        raise ValueError("variables that start with FLAME_MCP_ or FASTMCP_ are set by the operator")
    return name


class NameRef(_Spec):
    """An object of the same namespace."""

    name: ObjectName


class ResourceList(_Spec):
    """Amounts of what a container uses."""

    cpu: Quantity | None = None
    memory: Quantity | None = None
    ephemeral_storage: Quantity | None = Field(default=None, alias="ephemeral-storage")


class Resources(_Spec):
    """The server container's requests and limits; what is left out has the operator's default."""

    requests: ResourceList = ResourceList()
    limits: ResourceList = ResourceList()


class Embedding(_Spec):
    """How questions are turned into vectors."""

    type: Literal["Local", "None"] = "Local"


class VectorStore(_Spec):
    """Where vectors are kept."""

    type: Literal["Embedded"] = "Embedded"


class Search(_Spec):
    """Bounds of an answer."""

    default_limit: Annotated[int, Field(ge=1, le=20)] = 5
    max_tokens: Annotated[int, Field(ge=200, le=20000)] = 4000


class ServiceSpec(_Spec):
    """The Service in front of the pods."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    port: Annotated[int, Field(ge=1, le=65535)] = 80
    annotations: Annotations = {}


class ServiceAccountSpec(_Spec):
    """The pods' ServiceAccount."""

    annotations: Annotations = {}


class Toleration(_Spec):
    """As in a pod's spec."""

    key: LabelName | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: Annotated[int, Field(ge=0, le=31536000)] | None = None


class Scheduling(_Spec):
    """Where pods may run."""

    node_selector: Annotated[dict[str, LabelValue], Field(max_length=16)] = {}
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16)] = ()
    priority_class_name: ObjectName | None = None


class EnvVar(_Spec):
    """A plain environment variable."""

    name: Annotated[
        str,
        Field(min_length=1, max_length=63, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"),
        AfterValidator(_not_ours),
    ]
    value: Annotated[str, Field(max_length=1024)] = ""


class Observability(_Spec):
    """What the server logs."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"


class ServerSpec(_Spec):
    """What the user asks for."""

    image: (
        Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$")] | None
    ) = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    image_pull_secrets: Annotated[tuple[NameRef, ...], Field(max_length=8)] = ()
    replicas: Annotated[int, Field(ge=0, le=50)] | None = None
    resources: Resources = Resources()
    embedding: Embedding = Embedding()
    vector_store: VectorStore = VectorStore()
    search: Search = Search()
    service: ServiceSpec = ServiceSpec()
    service_account: ServiceAccountSpec = ServiceAccountSpec()
    scheduling: Scheduling = Scheduling()
    env: Annotated[tuple[EnvVar, ...], Field(max_length=32)] = ()
    observability: Observability = Observability()
    suspend: bool = False


@dataclass(frozen=True)
class Server:
    """One FlameMCPServer: who it is, and its spec."""

    key: Key
    uid: str
    generation: int
    labels: dict[str, str]
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
        spec=spec,
    )
