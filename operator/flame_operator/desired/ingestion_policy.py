"""Makes the NetworkPolicy of the pods that load docs."""

from flame_operator.desired.egress import beyond_cluster, dns, embedding_urls, external_qdrant_urls, rules
from flame_operator.desired.inputs import Defaults
from flame_operator.desired.naming import child, selector_labels
from flame_operator.desired.network_policy import extra_egress
from flame_operator.desired.qdrant import to_qdrant
from flame_operator.desired.sources import urls_of_sources
from flame_operator.desired.ways_out import proxy_urls
from flame_operator.resource.kinds import INGESTION, NETWORK_POLICY, Manifest
from flame_operator.resource.server import Server
from flame_operator.resource.unions import loads_docs, managed_qdrant


def ingestion_policy(server: Server, defaults: Defaults) -> Manifest | None:
    """The NetworkPolicy of the pods that load docs, or None when there are none or policies are disabled.

    It allows connections to public addresses and to the proxy, embedding service and vector store of the
    spec, and to nothing else: neither to the cluster's addresses nor to link-local ones, where nodes get
    their secrets.
    A source's URL is a tenant's choice, and so is the target of its redirects. `networkPolicy.egressTo`
    allows more.
    """
    if not loads_docs(server) or server.spec.network_policy.type == "Disabled":
        return None
    return {
        **child(NETWORK_POLICY, server, suffix=INGESTION, component="ingestion"),
        "spec": {
            "podSelector": {"matchLabels": selector_labels(server.key.name, "ingestion")},
            "policyTypes": ["Ingress", "Egress"],
            "egress": [
                dns(defaults),
                *((to_qdrant(server),) if managed_qdrant(server) else ()),
                *rules(
                    (*embedding_urls(server), *external_qdrant_urls(server)),
                    defaults.cluster_domain,
                    private=False,
                ),
                *rules(proxy_urls(server), defaults.cluster_domain),
                *beyond_cluster(urls_of_sources(server)),
                *extra_egress(server.spec.network_policy),
            ],
        },
    }
