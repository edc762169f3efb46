"""Makes the NetworkPolicy of a server's pods."""

from typing import Any

from flame_operator.desired.egress import NAMESPACE_LABEL, Rule, dns, rules, urls
from flame_operator.desired.inputs import Defaults, Facts
from flame_operator.desired.naming import HTTP_PORT, METRICS_PORT, child, selector_labels
from flame_operator.desired.qdrant import to_qdrant
from flame_operator.desired.ways_out import proxy_urls
from flame_operator.resource.kinds import NETWORK_POLICY, Manifest
from flame_operator.resource.server import Server
from flame_operator.resource.spec.access import EgressPeer, NetworkPolicySpec, Peer
from flame_operator.resource.unions import managed_qdrant

# The operator's pods have these labels whatever the names of the release and the chart's `nameOverride` are.
OPERATOR_LABELS = {"app.kubernetes.io/component": "operator", "app.kubernetes.io/part-of": "flame-mcp"}


def network_policy(server: Server, defaults: Defaults, facts: Facts) -> Manifest | None:
    """The NetworkPolicy of the server's pods, or None when it is disabled.

    Pods accept connections only at their two ports, and connect only to what the spec names and to DNS.
    """
    given = server.spec.network_policy
    if given.type == "Disabled":
        return None
    return {
        **child(NETWORK_POLICY, server),
        "spec": {
            "podSelector": {"matchLabels": selector_labels(server.key.name)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": _ingress(given, defaults),
            "egress": [
                dns(defaults),
                *((to_qdrant(server),) if managed_qdrant(server) or facts.asks_qdrant else ()),
                *rules((*urls(server), *proxy_urls(server)), defaults.cluster_domain),
                *extra_egress(given),
            ],
        },
    }


def _ingress(given: NetworkPolicySpec, defaults: Defaults) -> list[Rule]:
    ports = [_tcp(HTTP_PORT), _tcp(METRICS_PORT)]
    if not given.ingress_from:
        return [{"ports": ports}]
    found: list[Rule] = [{"from": [_peer(peer) for peer in given.ingress_from], "ports": ports}]
    if defaults.operator_namespace:
        operator = {
            "namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: defaults.operator_namespace}},
            "podSelector": {"matchLabels": OPERATOR_LABELS},
        }
        found.append({"from": [operator], "ports": [_tcp(HTTP_PORT)]})
    return found


def extra_egress(given: NetworkPolicySpec) -> list[Rule]:
    """The egress rules that the user adds with `networkPolicy.egressTo`."""
    return [_egress(peer) for peer in given.egress_to]


def _egress(given: EgressPeer) -> Rule:
    rule: Rule = {}
    peer = _peer(given)
    if peer:
        rule["to"] = [peer]
    if given.ports:
        rule["ports"] = [{"protocol": port.protocol, "port": port.port} for port in given.ports]
    return rule


def _peer(peer: Peer) -> dict[str, Any]:
    # Defaults are left out: an empty selector selects everything, while a missing one means something else.
    return peer.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"ports"})


def _tcp(port: int) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port}
