"""A control plane with the CRD, and the operator as a process beside it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.control_plane import ControlPlane
from tests.harness.operator_process import Operator
from tests.support.cluster.cluster import Cluster, Json, install_crd, server
from tests.support.cluster.dry_run import Client, Store, path_of
from tests.support.cluster.operators import operators


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    state = tmp_path_factory.mktemp("control-plane")
    audit_log = state / "audit.log"
    with ControlPlane.start(state, audit_log=audit_log) as plane:
        install_crd(plane)
        yield Cluster(plane, audit_log)


@pytest.fixture(scope="module")  # the API server closes a connection that is idle for long
def client(cluster: Cluster) -> Iterator[Client]:
    found = Client(cluster.plane)
    yield found
    found.connection.close()


@pytest.fixture
def store(client: Client) -> Iterator[Store]:
    """Stores resources, which are gone afterwards: an operator that starts later must not find them."""
    paths: list[str] = []

    def create(name: str, namespace: str, **spec: Any) -> Json:  # noqa: ANN401 - JSON
        code, body = client.create(server(name, namespace, **spec), query="")
        assert code == 201, body
        paths.append(path_of(body))
        return body

    yield create
    for path in paths:
        assert client.send("DELETE", path)[0] == 200


@pytest.fixture
def start_operator(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[..., Operator]]:
    """Operators of one test; see `operators`."""
    with operators(cluster, tmp_path) as start:
        yield start


@pytest.fixture
def operator(start_operator: Callable[..., Operator]) -> Operator:
    """An operator of one test, with default settings."""
    return start_operator()


@pytest.fixture(scope="module")
def lasting_operator(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """One of all tests of a module, which keep to their namespaces, with default settings."""
    with operators(cluster, tmp_path_factory.mktemp("operator")) as start:
        yield start()


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.namespace()
