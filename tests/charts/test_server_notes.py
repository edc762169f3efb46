"""What the plain chart tells after an installation: the addresses above all, the same as the operator's."""

from __future__ import annotations

import re
from typing import Any

import pytest

from flame_operator.desired.addresses import external_urls
from flame_operator.resource.server import parse_server
from tests.charts.test_one_truth import VALID, values_of
from tests.support.charts.helm_cli import SERVER_CHART, run_helm
from tests.support.operator.fake_kube import server as resource

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

EXPOSED = [spec for spec in VALID if spec.keys() & {"service", "ingress", "httpRoute"}]


def notes(values: dict[str, Any]) -> str:
    """What a first installation tells, without a cluster."""
    done = run_helm("install", "flame", SERVER_CHART, "-n", "team", "--dry-run=client", values=values)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:\n")[2]


@pytest.mark.parametrize("spec", EXPOSED, ids=lambda spec: str(spec)[:60])
def test_addresses_outside_are_those_of_the_operators_status(spec: dict[str, Any]) -> None:
    server = parse_server(resource("docs", **spec), forbid_unknown=True)
    told = re.findall(r"^  (http\S+) +outside$", notes(values_of(server, spec)), re.MULTILINE)
    assert told == list(external_urls(server, None))


TOKEN = {"auth": {"type": "Bearer"}, "secrets": {"token": {"existingSecret": "token"}}}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"service": {"type": "LoadBalancer"}},
            "http://{.status.loadBalancer.ingress[0].hostname}{.status.loadBalancer.ingress[0].ip}/mcp'",
        ),
        ({"service": {"type": "LoadBalancer", "port": 443}}, "jsonpath='https://{.status.loadBalancer"),
        ({"service": {"type": "LoadBalancer", "port": 8080}}, "ingress[0].ip}:8080/mcp'"),
        ({"service": {"type": "NodePort"}}, "jsonpath='http://NODE:{.spec.ports[0].nodePort}/mcp'"),
        (
            {"service": {"type": "NodePort", "hostnames": ["n1.example"]}},
            "(n1.example) goes in place of NODE",
        ),
        (
            {"httpRoute": {"parentRefs": [{"name": "g"}]}},
            "under the names of its listeners, at the path /mcp",
        ),
        (
            {"httpRoute": {"parentRefs": [{"name": "g"}], "hostnames": ["*.a.example", "b.example"]}},
            "through the Gateway under *.a.example, at",
        ),
        (
            {"operator": {"enabled": True}, "secrets": {}, "ingress": {"host": "a.example"}},
            "fmcp flame-flame-mcp-server -o jsonpath='{.status.externalURLs}'",
        ),
    ],
)
def test_what_only_the_cluster_knows_is_asked_for(values: dict[str, Any], said: str) -> None:
    found = notes(TOKEN | values)
    assert said in found
    assert "port-forward" not in found
    assert said not in notes({})


def test_a_server_inside_is_reached_from_this_machine() -> None:
    found = notes({})
    assert "http://flame-flame-mcp-server.team.svc/mcp        inside the cluster" in found
    assert "kubectl port-forward -n team service/flame-flame-mcp-server 8000:80" in found
    assert "outside" not in found
