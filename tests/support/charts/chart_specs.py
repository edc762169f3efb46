"""Hypothesis strategy for specs that keep all rules of the CRD, for charts to render."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import strategies as st

from flame_operator.formats.quantity import parse_quantity
from tests.support.operator import specs

URLS = st.sampled_from(
    [
        "https://qdrant.example.com",
        "https://Qdrant.Example.com:6333/path",
        "http://10.1.2.3:6333",
        "http://127.0.0.1:6333",
        "http://[2001:db8::1]:6333",
        "http://[::1]",
        "http://qdrant",
        "http://localhost:80",
        "http://qdrant.vectors",
        "https://qdrant.vectors:7000",
        "http://qdrant.vectors.svc:6333",
        "http://qdrant.vectors.svc.cluster.local:6333",
        "http://qdrant.vectors.svc.corp.example:6333",
        "http://a.b.c.svc.cluster.local.",
        "http://256.1.1.1:1",
        "http://svc.svc.svc",
    ]
)
HTTPS = st.sampled_from(
    [
        "https://a.example.com",
        "https://a.example.com:8443/x",
        "https://10.0.0.8",
        "https://git.svc",
        "https://g.ns.svc",
    ]
)

ISSUERS = st.sampled_from(["http://dex.auth.svc:5556/dex", "http://keycloak.auth.svc.cluster.local"])
"""Those without TLS, which have to be in the cluster."""


def _sane(value: Any, draw: st.DrawFn) -> Any:  # noqa: ANN401 - JSON values
    """The value with URLs that mean something, and without control characters, which Helm's YAML loses.

    The schema's patterns let pass much that means nothing.
    """
    if isinstance(value, list):
        return [_sane(item, draw) for item in value]
    if isinstance(value, str):
        return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", "", value)
    if not isinstance(value, dict):
        return value
    return {
        name: draw(HTTPS if item.startswith("https:") else ISSUERS if name == "issuer" else URLS)
        if name in ("url", "endpoint", "baseURL", "issuer", "http", "https") and isinstance(item, str)
        else _sane(item, draw)
        for name, item in value.items()
    }


def _within_rules(spec: dict[str, Any]) -> dict[str, Any]:  # noqa: C901 - a list
    """The spec with the CRD's rules between fields kept, which the schema alone doesn't tell."""
    for name in ("suspend", "operatorClass"):  # say nothing without an operator
        spec.pop(name, None)
    store, ingestion = spec.get("vectorStore", {}), spec.get("ingestion", {})
    _vectors_within_rules(spec, store)
    if "autoscaling" in spec:
        spec.pop("replicas", None)
        spec["autoscaling"]["maxReplicas"] = 50
    spec.setdefault("auth", {})["allowUnauthenticated"] = True
    if "trustedProxies" in spec:
        spec["trustedProxies"] = ["10.0.0.0/8", "2001:db8::/32"]
    if "httpRoute" in spec and spec["auth"].get("type", "None") == "None":
        spec["httpRoute"]["hostnames"] = spec["httpRoute"].get("hostnames") or ["docs.example.com"]
    if "schedule" not in ingestion:
        ingestion.pop("timeZone", None)
    policy = spec.get("networkPolicy", {})
    if policy.get("type") == "Disabled":
        spec["networkPolicy"] = {"type": "Disabled"}
    for peer in (*policy.get("ingressFrom", []), *policy.get("egressTo", [])):
        if not peer.keys() - {"ports"}:
            peer["podSelector"] = {}
    monitor = spec.get("observability", {}).get("serviceMonitor", {})
    if monitor.get("type") != "Enabled":
        monitor.pop("labels", None)
    _strategy_within_rules(spec.get("deploymentStrategy", {}))
    for place in (spec, store.get("managed", {}), ingestion):
        _lower_requests(place.get("resources", {}))
    return spec


def _strategy_within_rules(strategy: dict[str, Any]) -> None:
    if strategy.get("type") == "Recreate":
        strategy.pop("rollingUpdate", None)
    if "rollingUpdate" in strategy:
        strategy["rollingUpdate"]["maxSurge"] = 1


def _vectors_within_rules(spec: dict[str, Any], store: dict[str, Any]) -> None:
    embedding = spec.get("embedding", {})
    if store.get("type", "Embedded") == "Embedded":
        spec.pop("ingestion", None)
        if embedding.get("type") in ("AzureOpenAI", "OpenAI"):
            spec.pop("embedding")
    if azure := embedding.get("azureOpenAI"):
        azure.pop("workloadIdentity" if "apiKeySecretRef" in azure else "apiKeySecretRef", None)
        if "apiKeySecretRef" not in azure:
            azure.setdefault("workloadIdentity", {})
    external = store.get("external", {})
    if not external.get("url", "").startswith("https:"):
        external.pop("caBundleConfigMapRef", None)


def _lower_requests(resources: dict[str, Any]) -> None:
    for name, limit in resources.get("limits", {}).items():
        asked = resources.get("requests", {}).get(name)
        if asked is not None and (parse_quantity(asked) or 0) > (parse_quantity(limit) or 0):
            resources["requests"][name] = limit


@st.composite
def chart_specs(draw: st.DrawFn) -> dict[str, Any]:
    """Half of them with a Qdrant server or docs to load: left to chance, most would have neither."""
    fields = specs.SPEC["properties"]
    spec: dict[str, Any] = draw(specs.specs)
    if draw(st.booleans()):
        spec |= {name: draw(specs.values(fields[name])) for name in ("vectorStore", "embedding")}
        if draw(st.booleans()):
            spec["ingestion"] = draw(specs.values(fields["ingestion"]))
    return _within_rules(_sane(spec, draw))
