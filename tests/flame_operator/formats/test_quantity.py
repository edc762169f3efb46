"""Kubernetes quantities, and the container's resources."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flame_operator.desired.resources import container_resources
from flame_operator.formats.quantity import parse_quantity, same_quantity
from flame_operator.resource.spec.common import Resources


@pytest.mark.parametrize(
    ("given_resources", "requests", "limits"),
    [
        ({}, ("100m", "256Mi"), ("500m", "512Mi")),
        ({"limits": {"memory": "128Mi"}}, ("100m", "128Mi"), ("500m", "128Mi")),
        ({"limits": {"cpu": 2}}, ("100m", "256Mi"), ("2", "512Mi")),
        ({"requests": {"cpu": "0.75", "memory": "1Gi"}}, ("0.75", "1Gi"), ("0.75", "1Gi")),
        ({"requests": {"cpu": "50m"}, "limits": {"cpu": "60m"}}, ("50m", "256Mi"), ("60m", "512Mi")),
    ],
)
def test_resources_that_are_left_out_fit_the_given_ones(
    given_resources: dict[str, Any], requests: tuple[str, str], limits: tuple[str, str]
) -> None:
    found = container_resources(Resources.model_validate(given_resources))
    assert (found["requests"]["cpu"], found["requests"]["memory"]) == requests
    assert (found["limits"]["cpu"], found["limits"]["memory"]) == limits


@given(st.sampled_from(["100m", "0.1", "2", "3k"]), st.sampled_from(["cpu", "memory", "ephemeral-storage"]))
def test_a_single_figure_always_makes_a_valid_pod(figure: str, name: str) -> None:
    for side in ("requests", "limits"):
        found = container_resources(Resources.model_validate({side: {name: figure}}))
        request, limit = parse_quantity(found["requests"][name]), parse_quantity(found["limits"][name])
        assert request is not None
        assert limit is not None
        assert request <= limit


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0.5", "500m"),
        ("1Gi", "1024Mi"),
        ("1e3", "1k"),
        ("1", 1),
        ("1000u", "1m"),
        (".5", "0.50"),
        ("1E", "1e18"),
    ],
)
def test_equal_quantities(one: str, other: str) -> None:
    assert parse_quantity(one) == parse_quantity(other) is not None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0.7m", "1m", True),
        (".04388656Ki", "44940m", True),
        ("1n", "0.001", True),
        ("0.5", "501m", False),
        ("99999E", "9223372036854775807", True),
        ("1e99", "999999999999999999999Ei", True),
        ("x", "x", False),
    ],
)
def test_amounts_that_the_api_server_does_not_tell_apart(one: str, other: str, same: bool) -> None:
    assert same_quantity(one, other) == same


@pytest.mark.parametrize("text", ["", "1 Gi", "1KiB", "x", "1ki", "--1", "1e", "1.2.3", "\u0661"])
def test_no_quantities(text: str) -> None:
    assert parse_quantity(text) is None
