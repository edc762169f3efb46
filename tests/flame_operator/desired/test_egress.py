"""Ways out of a pod, for URLs as people write them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flame_operator.desired.egress import NEVER_V4, NEVER_V6, rules, urls
from flame_operator.resource.spec.access import LabelSelector
from tests.support.operator.children import parse

KEY = {"name": "keys", "key": "api"}
LABEL = "kubernetes.io/metadata.name"


def tcp(port: int) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port}]


def address(cidr: str, port: int) -> dict[str, Any]:
    return {"to": [{"ipBlock": {"cidr": cidr}}], "ports": tcp(port)}


def inside(namespace: str) -> dict[str, Any]:
    return {"to": [{"namespaceSelector": {"matchLabels": {LABEL: namespace}}}]}


def outside(port: int) -> dict[str, Any]:
    everything = [("0.0.0.0/0", NEVER_V4), ("::/0", NEVER_V6)]
    return {
        "to": [{"ipBlock": {"cidr": cidr, "except": list(never)}} for cidr, never in everything],
        "ports": tcp(port),
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.openai.com/v1", [outside(443)]),
        ("http://proxy.example.com", [outside(80)]),
        ("https://models.example.com:8443/v1", [outside(8443)]),
        ("https://10.1.2.3/v1", [address("10.1.2.3/32", 443)]),
        ("http://[2001:db8::1]:6333", [address("2001:db8::1/128", 6333)]),
        ("http://[::ffff:10.0.0.1]", [address("10.0.0.1/32", 80)]),
        ("http://[fe80::1%25eth0]:80", [address("fe80::1/128", 80)]),
        ("http://qdrant.vectors.svc:6333", [inside("vectors")]),
        ("http://qdrant.vectors.svc.cluster.local:6333", [inside("vectors")]),
        ("http://qdrant.vectors.svc.cluster.local.:6333", [inside("vectors")]),
        ("http://Qdrant-0.qdrant.Vectors.SVC:6333", [inside("vectors")]),
        ("http://qdrant.vectors.svc.corp.example:6333", [inside("vectors"), outside(6333)]),
        ("http://qdrant.vectors:6333", [inside("vectors"), outside(6333)]),
        ("http://a.svc.svc", [inside("svc")]),
        ("http://api.svc.example", [outside(80)]),
        ("http://x.%24%24.svc", [outside(80)]),
        ("http://qdrant:6333", [{"to": [{"podSelector": {}}]}]),
        ("http://localhost:4318", []),
        ("http://a.localhost:4318", []),
        ("http://127.0.0.1:4318", []),
        ("http://[::1]:4318", []),
        ("http://x.example:99999", []),
        ("http://[zz]", []),
        ("http://:80", []),
    ],
)
def test_ways_out(url: str, expected: list[dict[str, Any]]) -> None:
    assert rules([url], "cluster.local") == expected


def test_each_rule_is_there_once() -> None:
    targets = ["https://a.example.com", "https://b.example.com/x", "http://10.0.0.1"]
    assert rules(targets, "cluster.local") == [
        outside(443),
        address("10.0.0.1/32", 80),
    ]


@given(st.from_regex(r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", fullmatch=True))
def test_whatever_the_schema_lets_pass_makes_rules_that_the_api_server_takes(url: str) -> None:
    for rule in rules([url], "cluster.local"):
        assert all(1 <= port["port"] <= 65535 for port in rule.get("ports", []))
        for peer in rule["to"]:
            if "namespaceSelector" in peer:
                LabelSelector.model_validate(peer["namespaceSelector"])


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"embedding": {"type": "None"}}, []),
        (
            {
                "embedding": {
                    "type": "AzureOpenAI",
                    "azureOpenAI": {
                        "endpoint": "https://a.example",
                        "deployment": "d",
                        "apiKeySecretRef": KEY,
                    },
                }
            },
            ["https://a.example"],
        ),
        (
            {
                "embedding": {
                    "type": "AzureOpenAI",
                    "azureOpenAI": {
                        "endpoint": "https://10.0.0.1",
                        "deployment": "d",
                        "workloadIdentity": {},
                    },
                }
            },
            ["https://10.0.0.1", "https://login.microsoftonline.com"],
        ),
        (
            {"embedding": {"type": "OpenAI", "openAI": {"model": "m"}}},
            ["https://api.openai.com/v1"],
        ),
        (
            {
                "vectorStore": {"type": "External", "external": {"url": "http://qdrant"}},
                "auth": {"type": "OIDC", "oidc": {"issuer": "https://i.example", "audience": "a"}},
                "observability": {"tracing": {"endpoint": "http://otel:4318"}},
            },
            ["http://qdrant", "https://i.example", "http://otel:4318"],
        ),
        (
            {"embedding": {"openAI": {"model": "m"}}, "vectorStore": {"external": {"url": "http://qdrant"}}},
            [],
        ),
    ],
)
def test_what_pods_connect_to(spec: dict[str, Any], expected: list[str]) -> None:
    assert list(urls(parse(**spec))) == expected
