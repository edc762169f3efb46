"""One cluster, one set of images and one installed operator for all e2e tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.harness import cluster as clusters
from tests.harness import engine as engines
from tests.support.e2e import product


@pytest.fixture(scope="session")
def engine() -> engines.Engine:
    return engines.ensure()


@pytest.fixture(scope="session")
def built(engine: engines.Engine) -> product.Images:
    """Both images, in the Docker engine."""
    return product.build_images(engine)


@pytest.fixture(scope="session")
def prepared() -> tuple[clusters.Cluster, product.Images]:
    """A cluster with the operator installed from the chart, and the images that run there."""
    return product.prepare()


@pytest.fixture(scope="session")
def installed(prepared: tuple[clusters.Cluster, product.Images]) -> clusters.Cluster:
    return prepared[0]


@pytest.fixture(scope="session")
def server_image(prepared: tuple[clusters.Cluster, product.Images]) -> str:
    return prepared[1].server


@pytest.fixture
def namespace(installed: clusters.Cluster) -> Iterator[str]:
    """A name for a namespace of the test's own; whatever the test made there is removed."""
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    yield name
    installed.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")
