# ruff: noqa: ANN401 - JSON values
"""The addresses by which clients outside the cluster reach a server."""

from typing import Any

import pytest

from flame_operator.desired.addresses import MOST_URLS, external_urls
from tests.support.operator.children import parse

GATEWAY = {"name": "public"}
DNS = {"external-dns.alpha.kubernetes.io/hostname": "flame.example.org"}


def live(*ingress: Any, node_port: Any = None) -> dict[str, Any]:
    return {
        "spec": {"ports": [{"nodePort": node_port}]},
        "status": {"loadBalancer": {"ingress": list(ingress)}},
    }


@pytest.mark.parametrize(
    ("spec", "service", "expected"),
    [
        ({}, live({"ip": "192.0.2.1"}), []),
        ({"service": {"hostnames": ["a.example"]}}, None, []),
        ({"ingress": {"host": "a.example"}}, None, ["http://a.example/mcp"]),
        (
            {"ingress": {"host": "a.example", "path": "/flame/", "tlsSecretRef": {"name": "tls"}}},
            None,
            ["https://a.example/flame/mcp"],
        ),
        (
            {
                "ingress": {
                    "host": "a.example",
                    "path": "/docs/mcp",
                    "annotations": {"networking.gke.io/managed-certificates": "x"},
                }
            },
            None,
            ["https://a.example/docs/mcp"],
        ),
        (
            {"httpRoute": {"parentRefs": [GATEWAY], "hostnames": ["a.example", "*.b.example"]}},
            None,
            ["https://a.example/mcp"],
        ),
        (
            {"httpRoute": {"parentRefs": [{**GATEWAY, "port": 80}], "hostnames": ["a.example"]}},
            None,
            ["http://a.example/mcp"],
        ),
        ({"service": {"type": "LoadBalancer"}}, None, []),
        (
            {"service": {"type": "LoadBalancer", "port": 8080, "annotations": DNS}},
            live({"hostname": "lb-1.elb.example.com"}, {"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}),
            [
                "http://flame.example.org:8080/mcp",
                "http://lb-1.elb.example.com:8080/mcp",
                "http://192.0.2.1:8080/mcp",
                "http://[2001:db8::1]:8080/mcp",
            ],
        ),
        (
            {"service": {"type": "LoadBalancer", "port": 443, "hostnames": ["a.example", "*.b.example"]}},
            None,
            ["https://a.example/mcp"],
        ),
        (
            {"service": {"type": "NodePort", "hostnames": ["node.example"]}},
            live({"ip": "192.0.2.1"}, node_port=30080),
            ["http://node.example:30080/mcp"],
        ),
        ({"service": {"type": "NodePort", "hostnames": ["node.example"]}}, None, []),
        # What somebody else has written into a live object.
        (
            {"service": {"type": "LoadBalancer"}},
            live({"hostname": "evil/path"}, {"hostname": 1}, "x", {"ip": "x y"}, {"ip": None}),
            [],
        ),
        ({"service": {"type": "NodePort", "hostnames": ["a.example"]}}, live(node_port="30080"), []),
    ],
)
def test_every_way_in_is_told(
    spec: dict[str, Any], service: dict[str, Any] | None, expected: list[str]
) -> None:
    assert list(external_urls(parse(**spec), service)) == expected


def test_only_so_many_are_told() -> None:
    many = live(*({"ip": f"192.0.2.{number}"} for number in range(1, 100)))
    assert len(external_urls(parse(service={"type": "LoadBalancer"}), many)) == MOST_URLS
