"""Contour and Envoy, processes of the node: an ingress controller and a Gateway for tests."""

import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.harness import binaries, cgroups, foreign, network, paths, python_tools, tools
from tests.harness.cluster import Cluster
from tests.harness.console import step
from tests.harness.pki import Authority, Certificate
from tests.harness.proc import run, wait_for

CLASS = "contour"
"""The class of Ingresses that are served."""
NAMESPACE = "flame-mcp-gateway"
NAME = "public"
"""The Gateway; its listeners are `http` and `https`."""
DOMAIN = "gateway.test"
"""The Gateway's listener `https` has a certificate for all names below it."""

_XDS = ("--xds-address=127.0.0.1", "--xds-port=8901")
_PORTS = {
    "http": (80, 8080),
    "https": (443, 8443),
}  # of a listener, and where Contour has Envoy listen for it
_FIGURES_PORT = 8002  # where Contour has Envoy tell its figures
_UNUSED = ("tlsroutes", "tcproutes", "grpcroutes", "backendtlspolicies", "extensionservices")
_PROGRAMS = ("envoy", "contour")  # in the order of stopping


@dataclass(frozen=True)
class Gateway:
    """What clients have to know."""

    address: str
    """Inside the cluster, with the ports 80 and 443."""
    authority: Authority


def programs() -> tuple[Path, Path]:
    """Contour and Envoy, built and installed the first time.

    Envoy is the program itself: its package's command would stand between it and our signals.

    Raises:
        HarnessError: One of them can't be had.
    """
    (envoy,) = python_tools.home("envoy").glob("lib/python*/site-packages/envoy/_bin/envoy")
    return tools.binary("contour"), envoy


@contextmanager
def running(cluster: Cluster) -> Iterator[Gateway]:
    """Serves Ingresses and HTTPRoutes while the block runs.

    Raises:
        HarnessError: A program could not be built, or died.
    """
    contour, envoy = programs()
    authority = Authority(paths.state() / "gateway-authority")
    try:
        with step(f"Ingress and Gateway by Contour {tools.family_of('contour').version} and Envoy"):
            _apply_definitions(cluster)
            _apply(cluster, _objects(authority))
            _start(contour, envoy)
            _wait(cluster)
        service = f"service/{NAME}"
        found = cluster.kubectl("get", "-n", NAMESPACE, service, "-ojsonpath={.spec.clusterIP}")
        yield Gateway(found.stdout, authority)
    finally:
        for name in _PROGRAMS:
            binaries.daemon(name).stop(grace=0)


def _apply_definitions(cluster: Cluster) -> None:
    folder = tools.family_of("contour").folder
    files = [foreign.definition(*one, folder) for one in (*foreign.GATEWAYS, foreign.CONTOUR)]
    cluster.kubectl("apply", "--server-side", *(f"--filename={file}" for file in files))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"-f={file}" for file in files))


def _apply(cluster: Cluster, objects: list[dict[str, object]]) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    cluster.kubectl("apply", "-f", "-", input=json.dumps(listed))


def certificate(authority: Authority, namespace: str, name: str, host: str) -> dict[str, object]:
    """A Secret with a certificate for a host."""
    files = authority.pair(host.replace("*", "all"), Certificate(host, addresses=(host,)))
    data = {
        key: b64encode(file.read_bytes()).decode()
        for key, file in zip(("tls.crt", "tls.key"), files, strict=True)
    }
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": metadata,
        "data": data,
    }


def _objects(authority: Authority) -> list[dict[str, object]]:
    """The Gateway with its certificate, and a Service that leads to Envoy, which is no pod."""
    metadata = {"name": NAME, "namespace": NAMESPACE}
    ports = [{"name": name, "port": port} for name, (port, _) in _PORTS.items()]
    of_envoy = [{"name": name, "port": port} for name, (_, port) in _PORTS.items()]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        certificate(authority, NAMESPACE, NAME, f"*.{DOMAIN}"),
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": CLASS},
            "spec": {"controllerName": "projectcontour.io/gateway-controller"},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": metadata,
            "spec": {"gatewayClassName": CLASS, "listeners": [_listener("http"), _listener("https")]},
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4",
            "ports": of_envoy,
            "endpoints": [{"addresses": [network.NODE_ADDRESS]}],
        },
    ]


def _listener(name: str) -> dict[str, object]:
    listener: dict[str, object] = {
        "name": name,
        "port": _PORTS[name][0],
        "protocol": name.upper(),
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    if name == "https":
        listener["tls"] = {"mode": "Terminate", "certificateRefs": [{"name": NAME}]}
    return listener


def _start(contour: Path, envoy: Path) -> None:
    config = paths.state() / "contour.yaml"
    config.write_text(yaml.safe_dump({"gateway": {"gatewayRef": {"namespace": NAMESPACE, "name": NAME}}}))
    bootstrap = paths.state() / "envoy.json"
    # Sockets' paths are limited to 107 bytes.
    run([contour, "bootstrap", bootstrap, f"--admin-address={paths.RUN}/envoy.sock", *_XDS])
    serve: tuple[str | Path, ...] = (
        contour, "serve", "--no-incluster", f"--kubeconfig={paths.kubeconfig()}", "--insecure", *_XDS,
        f"--config-path={config}", "--disable-leader-election", f"--ingress-class-name={CLASS}",
        "--envoy-service-http-address=0.0.0.0", "--envoy-service-https-address=0.0.0.0",
        f"--ingress-status-address={network.NODE_ADDRESS}",
        *(f"--disable-feature={what}" for what in _UNUSED),
    )  # fmt: skip
    for name, command in {
        "contour": network.inside(*serve),
        "envoy": network.inside(
            envoy, "--config-path", bootstrap, "--service-cluster", NAMESPACE, "--service-node", NAME
        ),
    }.items():
        if binaries.daemon(name).identity() is None:
            cgroups.adopt(binaries.daemon(name).start(command))


def _has_listeners() -> bool:
    """Whether Envoy has got listeners from Contour; the one for its figures is always among them."""
    try:
        with socket.create_connection((network.NODE_ADDRESS, _FIGURES_PORT), timeout=1):
            return True
    except OSError:
        return False


def _wait(cluster: Cluster) -> None:
    needs = [binaries.daemon(name) for name in ("envoy", "contour")]
    programmed = ("wait", "-n", NAMESPACE, f"gateway/{NAME}", "--for=condition=Programmed", "--timeout=1s")

    def serves() -> bool:
        return _has_listeners() and cluster.kubectl(*programmed, check=False).returncode == 0

    wait_for("the Gateway to be programmed", serves, timeout=60, needs=needs)
