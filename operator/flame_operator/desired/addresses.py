"""Makes the names and addresses by which clients reach a server."""

import re
from collections.abc import Iterator
from ipaddress import ip_address

from flame_operator.formats.shape import at, mappings, number, text
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.server import Server

EVERY_HOST = "*"
NEAREST_PROXY = "private"
"""Has the server believe whoever connects from a private address, and no proxy behind that."""
METADATA_PATH = "/.well-known/oauth-protected-resource"
"""Where clients look for the metadata of a server with OIDC; the path of its URL follows (RFC 9728)."""

MOST_URLS = 32
"""How many external URLs a status lists."""

_MCP = "/mcp"
_TLS_IN_ANNOTATIONS = (
    "alb.ingress.kubernetes.io/certificate-arn",
    "networking.gke.io/managed-certificates",
    "traefik.ingress.kubernetes.io/router.tls",
)
"""Annotations by which an Ingress has a certificate without `tls`."""
_NAMES_IN_ANNOTATIONS = (
    "external-dns.alpha.kubernetes.io/hostname",
    "external-dns.alpha.kubernetes.io/internal-hostname",
)
_HOST_NAME = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def hosts(server: Server, cluster_domain: str) -> tuple[str, ...]:
    """The host names that clients may use for the server.

    A leading `*.` stands for any subdomain. `*` stands for every name, where nobody knows the names
    beforehand: those of a load balancer, of nodes, of a Gateway's listeners. It needs authentication, because
    a web page could ask the server under a name of its own (DNS rebinding); such a page has no token.
    """
    spec, (namespace, name) = server.spec, server.key
    service = f"{name}.{namespace}.svc"
    cluster = (name, f"{name}.{namespace}", service, f"{service}.{cluster_domain}")
    ingress = (spec.ingress.host,) if spec.ingress else ()
    route = spec.http_route.hostnames if spec.http_route else ()
    unknown = spec.service.type != "ClusterIP" or (spec.http_route and not route)
    every = (EVERY_HOST,) if unknown and spec.auth.type != "None" else ()
    return tuple(dict.fromkeys((*cluster, *ingress, *route, *service_names(server), *every)))


def service_names(server: Server) -> tuple[str, ...]:
    """The host names of the Service: those of the spec, and those that external-dns is told to publish."""
    spec = server.spec.service
    published = ",".join(spec.annotations.get(name, "") for name in _NAMES_IN_ANNOTATIONS).split(",")
    names = [name.strip(" ").lower() for name in published]
    fit = [name for name in names if len(name) <= 253 and _HOST_NAME.fullmatch(name)]
    return tuple(dict.fromkeys((*spec.hostnames, *fit)))


def path_prefix(server: Server) -> str:
    """The prefix below which the server also answers, without a slash at the end; empty for none."""
    path = server.spec.ingress.path.rstrip("/") if server.spec.ingress else ""
    return path.removesuffix(_MCP).rstrip("/")


def trusted_proxies(server: Server) -> tuple[str, ...]:
    """The proxies that may tell whom they speak for.

    Nobody knows the addresses of ingress controllers and gateways. So whoever connects from a private address
    is believed, unless people from outside may do so, too, whose connections a node passes on.
    """
    spec = server.spec
    if spec.trusted_proxies:
        return spec.trusted_proxies
    proxied = spec.ingress is not None or spec.http_route is not None
    return (NEAREST_PROXY,) if proxied and spec.service.type == "ClusterIP" else ()


def external_urls(server: Server, service: Manifest | None) -> tuple[str, ...]:
    """The URLs for MCP clients outside the cluster, as far as they can be known; without wildcards.

    Args:
        server: The server.
        service: Its live Service, whose status tells the addresses of a load balancer.
    """
    found = (*_ingress_urls(server), *_route_urls(server), *_service_urls(server, service))
    return tuple(dict.fromkeys(found))[:MOST_URLS]


def _ingress_urls(server: Server) -> Iterator[str]:
    if given := server.spec.ingress:
        secure = given.tls_secret_ref or any(name in given.annotations for name in _TLS_IN_ANNOTATIONS)
        yield f"{'https' if secure else 'http'}://{given.host}{path_prefix(server)}{_MCP}"


def _route_urls(server: Server) -> Iterator[str]:
    """The listener's scheme, which only the Gateway knows: https, unless the route says port 80 or http."""
    if given := server.spec.http_route:
        plain = all(parent.port == 80 or parent.section_name == "http" for parent in given.parent_refs)
        for name in given.hostnames:
            if not name.startswith("*"):
                yield f"{'http' if plain else 'https'}://{name}{_MCP}"


def _service_urls(server: Server, service: Manifest | None) -> Iterator[str]:
    spec = server.spec.service
    if spec.type == "ClusterIP":
        return
    port: int | None = spec.port
    balancers = mappings(at(service or {}, "status", "loadBalancer", "ingress"))[:MOST_URLS]
    if spec.type == "NodePort":
        ports, balancers = mappings(at(service or {}, "spec", "ports")), []
        port = number(ports[0].get("nodePort")) if ports else None
    if not port:
        return
    scheme = "https" if port == 443 else "http"
    end = "" if port in (80, 443) else f":{port}"
    given = [text(one.get("hostname")) or text(one.get("ip")) for one in balancers]
    for name in (*service_names(server), *given):
        if host := _host(name):
            yield f"{scheme}://{host}{end}{_MCP}"


def _host(name: str) -> str:
    """A name or an address as URLs have it; empty when it is neither, or a wildcard."""
    try:
        address = ip_address(name)
    except ValueError:
        fits = len(name) <= 253 and not name.startswith("*") and _HOST_NAME.fullmatch(name)
        return name if fits else ""
    return f"[{address}]" if address.version == 6 else str(address)
