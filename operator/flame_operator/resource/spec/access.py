"""Models how clients reach a server: Service, Ingress, HTTPRoute, NetworkPolicy, authentication."""

from typing import Annotated, Literal

from pydantic import Field

from flame_operator.resource.spec.common import (
    Annotations,
    HostName,
    HttpUrl,
    KeyRef,
    LabelName,
    LabelValue,
    NameRef,
    NamespaceName,
    ObjectName,
    Origin,
    PlainAnnotations,
    Spec,
    Switch,
    Union,
    WildcardHostName,
)


class Bearer(Spec):
    """A token that all clients share."""

    token_secret_ref: KeyRef | None = None


class OIDC(Spec):
    """Tokens of an OpenID Connect issuer."""

    issuer: Annotated[HttpUrl, Field(min_length=9)]
    audience: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x21-\x7e]+$")]
    required_scopes: Annotated[
        tuple[
            Annotated[
                str, Field(min_length=1, max_length=128, pattern=r"^[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+$")
            ],
            ...,
        ],
        Field(max_length=16),
    ] = ()


class Auth(Union):
    """Which clients may use the server, and how they prove it."""

    type: Literal["None", "Bearer", "OIDC"] = "None"
    allow_unauthenticated: bool = False
    bearer: Bearer | None = None
    oidc: OIDC | None = None


Port = Annotated[int, Field(ge=1, le=65535)]


class ServiceSpec(Spec):
    """The Service in front of the pods."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    port: Port = 80
    app_protocol: LabelName = "http"
    hostnames: Annotated[tuple[WildcardHostName, ...], Field(max_length=16)] = ()
    annotations: Annotations = Field(default_factory=dict)


class Ingress(Spec):
    """An Ingress that exposes the server outside the cluster."""

    class_name: ObjectName | None = None
    host: HostName
    path: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^/[-A-Za-z0-9._~/]*$")] = "/"
    tls_secret_ref: NameRef | None = None
    annotations: PlainAnnotations = Field(default_factory=dict)
    allow_unauthenticated: bool = False


class ParentRef(Spec):
    """A Gateway, or one of its listeners, that a route attaches to."""

    name: ObjectName
    namespace: NamespaceName | None = None
    section_name: (
        Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
        | None
    ) = None
    port: Port | None = None


class HttpRoute(Spec):
    """An HTTPRoute of the Gateway API."""

    parent_refs: Annotated[tuple[ParentRef, ...], Field(min_length=1, max_length=8)]
    hostnames: Annotated[tuple[WildcardHostName, ...], Field(max_length=16)] = ()


class Expression(Spec):
    """A requirement on a label, as in `matchExpressions`."""

    key: LabelName
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Annotated[tuple[LabelValue, ...], Field(max_length=8)] = ()


class LabelSelector(Spec):
    """A label selector, as in a NetworkPolicy; an empty one selects everything."""

    match_labels: Annotated[dict[str, LabelValue], Field(max_length=8)] = Field(default_factory=dict)
    match_expressions: Annotated[tuple[Expression, ...], Field(max_length=4)] = ()


Cidr = Annotated[str, Field(min_length=4, max_length=49, pattern=r"^[0-9A-Fa-f.:]+/[0-9]{1,3}$")]


class Cors(Spec):
    """Which web pages may ask the server from a browser."""

    allowed_origins: Annotated[tuple[Origin, ...], Field(max_length=16)] = ()


class IpBlock(Spec):
    """A range of IP addresses, with exceptions."""

    cidr: Cidr
    except_: Annotated[tuple[Cidr, ...], Field(max_length=16, alias="except")] = ()


class Peer(Spec):
    """The other end of a connection, as in a NetworkPolicy."""

    ip_block: IpBlock | None = None
    namespace_selector: LabelSelector | None = None
    pod_selector: LabelSelector | None = None


class PeerPort(Spec):
    """A port of a peer, and its protocol."""

    port: Port
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"


class EgressPeer(Peer):
    """A peer that pods may connect to, on the given ports or, when there are none, on all."""

    ports: Annotated[tuple[PeerPort, ...], Field(max_length=16)] = ()


class NetworkPolicySpec(Spec):
    """The NetworkPolicy: which peers may connect to the pods, and which peers the pods may connect to."""

    type: Switch = "Enabled"
    ingress_from: Annotated[tuple[Peer, ...], Field(max_length=8)] = ()
    egress_to: Annotated[tuple[EgressPeer, ...], Field(max_length=16)] = ()
