"""Ingress and HTTPRoute with traffic: a real client in a pod asks what `status.externalURLs` lists."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.harness import gateway
from tests.harness.cluster import Cluster
from tests.harness.gateway import Gateway
from tests.support.e2e import product, reach, standins

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

INGRESS_HOST = "docs.ingress.test"
ROUTE_HOST = f"docs.{gateway.DOMAIN}"
STRANGE_HOST = f"other.{gateway.DOMAIN}"
PAGE = "flame/collision_detection.md"

# A request as clients send it first; what answers, and where, after no redirect at all.
INITIALIZE = """
import json, sys, urllib.error, urllib.request
params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode()
accepts = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
try:
    with urllib.request.urlopen(urllib.request.Request(sys.argv[1], body, accepts)) as answer:
        print(answer.status, answer.url)
except urllib.error.HTTPError as error:
    print(error.code, error.headers.get("Location"))
"""


@pytest.fixture(scope="module")
def served(prepared: tuple[Cluster, product.Images]) -> Iterator[Gateway]:
    """Contour and Envoy serve, and the operator makes HTTPRoutes; both only for this module."""
    cluster, built = prepared
    if cluster.kind != "binaries":
        pytest.skip("Contour and Envoy run on the harness's own node only")
    qdrant = standins.qdrant_image(cluster, built)
    with gateway.running(cluster) as found:
        product.install_operator(
            cluster, built, qdrant, product.OPERATOR_CHART, "--set", "httpRoutes.enabled=true"
        )
        yield found
    product.install_operator(cluster, built, qdrant)


class Client:
    """A pod whose only knowledge is where the hosts are, and whose certificates it trusts."""

    def __init__(self, cluster: Cluster, namespace: str, image: str, served: Gateway) -> None:
        self.cluster = cluster
        self.namespace = namespace
        authority = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "authority", "namespace": namespace},
            "data": {"ca.crt": served.authority.certificate.read_text()},
        }
        cluster.kubectl("apply", "-f", "-", input=json.dumps(authority))
        pod = reach.standing_pod(
            namespace,
            "client",
            image,
            env=[{"name": "SSL_CERT_FILE", "value": "/authority/ca.crt"}],
            volumeMounts=[{"name": "authority", "mountPath": "/authority"}],
        )
        hosts = [INGRESS_HOST, ROUTE_HOST, STRANGE_HOST]
        pod["spec"]["hostAliases"] = [{"ip": served.address, "hostnames": hosts}]
        pod["spec"]["volumes"] = [{"name": "authority", "configMap": {"name": "authority"}}]
        reach.start(cluster, pod)

    def _run(self, *command: str) -> str:
        return self.cluster.kubectl("exec", "-n", self.namespace, "client", "--", *command).stdout

    def ask(self, url: str) -> str:
        """The page of the first passage, by a real MCP client, which asks until the way is there."""
        told = self._run("flame-mcp", "ask", "--wait=30", "--json", f"--url={url}", product.QUESTION)
        page: str = json.loads(told)["results"][0]["source_path"]
        return page

    def initialize(self, url: str) -> str:
        """The status and the URL that answered, or the status and the Location of a refusal."""
        return self._run("python", "-c", INITIALIZE, url).strip()


def test_questions_through_ingress_and_route(
    installed: Cluster, namespace: str, server_image: str, served: Gateway
) -> None:
    product.apply_namespace(installed, namespace)
    tls = gateway.certificate(served.authority, namespace, "docs-tls", INGRESS_HOST)
    installed.kubectl("apply", "-f", "-", input=json.dumps(tls))
    parent = {"name": gateway.NAME, "namespace": gateway.NAMESPACE}
    ingress = {"className": gateway.CLASS, "host": INGRESS_HOST, "path": "/flame"}
    spec = {
        "replicas": 1,
        "auth": {"allowUnauthenticated": True},
        "ingress": {**ingress, "tlsSecretRef": {"name": "docs-tls"}},
        "httpRoute": {
            "parentRefs": [{**parent, "sectionName": "https"}, {**parent, "sectionName": "http"}],
            "hostnames": [ROUTE_HOST],
        },
        "trustedProxies": ["198.18.0.0/15"],
    }
    product.apply(installed, namespace, "docs", spec)
    client = Client(installed, namespace, server_image, served)
    product.wait_ready(installed, namespace, "docs")

    told = product.get(installed, namespace, "fmcp/docs")["status"]["externalURLs"]
    assert sorted(told) == [f"https://{ROUTE_HOST}/mcp", f"https://{INGRESS_HOST}/flame/mcp"]
    for url in (*told, f"http://{ROUTE_HOST}/mcp"):
        assert client.ask(url) == PAGE
        # As some clients write it: answered there and then.
        assert client.initialize(f"{url}/") == f"200 {url}/"
    # Nothing else is led to the server.
    for url in (f"http://{STRANGE_HOST}/mcp", f"https://{INGRESS_HOST}/mcp"):
        assert client.initialize(url) == "404 None"
