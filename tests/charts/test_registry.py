"""One value from which all images are pulled, where there is no way to the internet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from docs import chart_readmes
from tests.support.charts.helm_cli import OPERATOR_CHART, SERVER_CHART, render, template
from tests.support.charts.operator_chart import container, environment

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

MIRROR = "registry.example.com:5000/mirror"
DIGEST = "sha256:" + "0" * 64
QDRANT: dict[str, Any] = {"mode": "withQdrant", "secrets": {"qdrant": {"existingSecret": "keys"}}}


def images(value: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    """All images in objects, those in variables of the operator among them."""
    if isinstance(value, dict):
        if isinstance(value.get("image"), str):
            yield value["image"]
        if str(value.get("name", "")).endswith("_IMAGE"):
            yield value["value"]
        for item in value.values():
            yield from images(item)
    elif isinstance(value, list):
        for item in value:
            yield from images(item)


def mirrored(values: dict[str, Any], registry: str = MIRROR) -> dict[str, Any]:
    return values | {"global": {"imageRegistry": registry}}


def test_all_images_of_the_operators_chart_come_from_it() -> None:
    plain = set(images(render(OPERATOR_CHART, {})))
    found = set(images(render(OPERATOR_CHART, mirrored({}))))
    assert len(plain) == 3
    assert found == {f"{MIRROR}/{image}" for image in plain}


@pytest.mark.parametrize(
    ("repository", "path"),
    [
        ("flame-mcp/operator", "flame-mcp/operator"),
        ("ghcr.io/flame-mcp/operator", "flame-mcp/operator"),
        ("localhost:5000/operator", "operator"),
        ("localhost/operator", "operator"),
        ("docker.io/a/b/operator", "a/b/operator"),
        ("operator", "operator"),
        ("team.one/operator", "operator"),
    ],
)
def test_only_the_registry_is_replaced(repository: str, path: str) -> None:
    image = {"repository": repository, "digest": DIGEST}
    found = render(OPERATOR_CHART, mirrored({"image": image, "server": {"image": {"tag": "v7"}}}))
    assert container(found)["image"] == f"{MIRROR}/{path}@{DIGEST}"
    assert environment(found)["FLAME_OPERATOR_SERVER_IMAGE"] == f"{MIRROR}/flame-mcp/server:v7"


def test_the_plain_charts_images_come_from_it_unless_a_value_names_them() -> None:
    plain = set(images(render(SERVER_CHART, QDRANT)))
    assert set(images(render(SERVER_CHART, mirrored(QDRANT)))) == {f"{MIRROR}/{image}" for image in plain}
    own = QDRANT | {
        "image": "registry.example.org/docs:1",
        "vectorStore": {"managed": {"image": "registry.example.org/qdrant:1"}},
    }
    assert {image.partition("/")[0] for image in images(render(SERVER_CHART, mirrored(own)))} == {
        "registry.example.org"
    }


def test_with_an_operator_its_chart_decides() -> None:
    found = render(SERVER_CHART, mirrored({"operator": {"enabled": True}}), "--no-hooks")
    assert list(images(found)) == []


@pytest.mark.parametrize("chart", chart_readmes.CHARTS, ids=lambda chart: chart.name)
@pytest.mark.parametrize("registry", ["https://registry.example.com", "registry.example.com/", "Registry"])
def test_what_is_no_registry_is_refused(chart: Any, registry: str) -> None:  # noqa: ANN401 - a path
    done = template(chart, mirrored({}, registry))
    assert done.returncode != 0
    assert "global/imageRegistry" in done.stderr


def test_the_docs_list_the_images_to_mirror() -> None:
    page = (OPERATOR_CHART.parents[1] / "docs/in-your-cluster.md").read_text()
    for chart in chart_readmes.CHARTS:
        metadata = yaml.safe_load((chart / "Chart.yaml").read_text())
        for image in yaml.safe_load(metadata["annotations"]["artifacthub.io/images"]):
            assert re.search(rf"`{re.escape(image['image'])}`", page), image
