"""Turns URLs into the egress rules of NetworkPolicies, which know addresses and labels but no host names."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

from flame_operator.desired.inputs import Defaults
from flame_operator.resource.server import Server
from flame_operator.resource.unions import azure_openai, external_qdrant, oidc, openai, workload_identity

Rule = dict[str, Any]

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
"""The label that Kubernetes puts on every namespace, with the namespace's name as its value."""
ENTRA = "https://login.microsoftonline.com"
"""Exchanges a workload identity's token for one of Azure OpenAI; other clouds' hosts use the same port."""

# No API is at these addresses: link-local, and where clouds hand out their nodes' secrets.
NEVER_V4 = ("169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32")
NEVER_V6 = ("fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128")

# The addresses of clusters and of the networks around them.
PRIVATE_V4 = ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
PRIVATE_V6 = ("::1/128", "fc00::/7")

_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


def urls(server: Server) -> tuple[str, ...]:
    """The URLs that the server's pods connect to."""
    issuer, tracing = oidc(server), server.spec.observability.tracing
    return (
        *embedding_urls(server),
        *external_qdrant_urls(server),
        *((issuer.issuer,) if issuer else ()),
        *((tracing.endpoint,) if tracing else ()),
    )


def embedding_urls(server: Server) -> tuple[str, ...]:
    """The URLs of the embedding service and of the service that issues tokens for it."""
    azure, endpoint = azure_openai(server), openai(server)
    found = (
        azure and azure.endpoint,
        workload_identity(server) and ENTRA,
        endpoint and endpoint.base_url,
    )
    return tuple(url for url in found if url)


def external_qdrant_urls(server: Server) -> tuple[str, ...]:
    """The URL of an external Qdrant; empty when the server uses none."""
    qdrant = external_qdrant(server)
    return (qdrant.url,) if qdrant else ()


def dns(defaults: Defaults) -> Rule:
    """The egress rule for DNS, at any address: it may run in pods, on nodes, or at a link-local address."""
    protocols = ("UDP", "TCP")
    return {"ports": [{"protocol": name, "port": port} for port in defaults.dns_ports for name in protocols]}


def rules(targets: Iterable[str], domain: str, *, private: bool = True) -> list[Rule]:
    """The egress rules that allow connections to each URL, without duplicates.

    - An IP address: only that address, at the URL's port.
    - A Service, `name.namespace.svc` or just `name`: all pods of the namespace at all ports, because a pod's
      port may differ from its Service's.
    - Any other name: all addresses except `NEVER_V4` and `NEVER_V6`, at the URL's port.
    - `name.namespace` may be either, so it gets both rules; so does a Service in a cluster with
      another domain.

    Args:
        targets: The URLs.
        domain: The cluster's domain.
        private: Whether other names may also have private addresses, as those of private endpoints do.
    """
    found: list[Rule] = []
    for target in targets:
        found += [rule for rule in _rules(target, domain, private=private) if rule not in found]
    return found


def beyond_cluster(targets: Iterable[str]) -> list[Rule]:
    """The egress rules that allow connections to all public addresses, at the ports of these URLs."""
    ports = sorted({port for target in targets if (port := _port(target))})
    if not ports:
        return []
    # Kubernetes refuses exceptions that lie inside other exceptions.
    v4 = tuple(sorted({*PRIVATE_V4, *NEVER_V4} - {"100.100.100.200/32"}))
    v6 = tuple(sorted({*PRIVATE_V6, "fe80::/10"}))
    return [
        {
            "to": [_anywhere("0.0.0.0/0", v4), _anywhere("::/0", v6)],
            "ports": [{"protocol": "TCP", "port": port} for port in ports],
        }
    ]


def single_label_hosts(targets: Iterable[str]) -> tuple[str, ...]:
    """The hosts of these URLs that can only be Services of the pod's own namespace: names without a dot."""
    found = []
    for target in targets:
        with suppress(ValueError):
            host = (urlsplit(target).hostname or "").rstrip(".")
            if host and "." not in host and _address(host) is None:
                found.append(host)
    return tuple(found)


def _port(target: str) -> int | None:
    with suppress(ValueError):
        parts = urlsplit(target)
        return parts.port or (443 if parts.scheme == "https" else 80)
    return None


def _rules(target: str, domain: str, *, private: bool) -> Iterator[Rule]:
    try:
        parts = urlsplit(target)
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return  # not a URL: the server can't connect to it, and reports that
    ports = [{"protocol": "TCP", "port": port}]
    address = _address(host)
    if address is not None:
        if not address.is_loopback:
            yield {"to": [{"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}], "ports": ports}
        return
    labels = host.split(".")
    if labels[-1] in ("", "localhost"):
        return  # the connection stays inside the pod
    if len(labels) == 1:
        yield {"to": [{"podSelector": {}}]}
        return
    namespace, outside = _service(labels, domain)
    if namespace:
        yield {"to": [{"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: namespace}}}]}
    if outside and private:
        yield {"to": [_anywhere("0.0.0.0/0", NEVER_V4), _anywhere("::/0", NEVER_V6)], "ports": ports}
    elif outside:
        yield from beyond_cluster([target])


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    # Packets to an IPv4-mapped address are IPv4, and Kubernetes refuses such an address in a policy.
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def _service(labels: list[str], domain: str) -> tuple[str | None, bool]:
    """The namespace if the name may be a Service's, and whether the name may be one outside the cluster."""
    if "svc" in labels[2:]:
        position = labels.index("svc", 2)
        namespace, outside = labels[position - 1], ".".join(labels[position + 1 :]) not in ("", domain)
    elif len(labels) == 2:
        namespace, outside = labels[1], True
    else:
        return None, True
    return (namespace, outside) if _NAMESPACE.fullmatch(namespace) else (None, True)


def _anywhere(cidr: str, never: tuple[str, ...]) -> Rule:
    return {"ipBlock": {"cidr": cidr, "except": list(never)}}
