"""What a container requests and may use: the spec's figures over the defaults."""

from dataclasses import dataclass

from flame_operator.formats.quantity import parse_quantity
from flame_operator.resource.spec.common import Resources


@dataclass(frozen=True)
class DefaultResources:
    """What a container requests and may use where the spec doesn't say."""

    requests: dict[str, str]
    limits: dict[str, str]


SERVER_RESOURCES = DefaultResources(
    requests={"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "64Mi"},
    limits={"cpu": "500m", "memory": "512Mi", "ephemeral-storage": "256Mi"},
)


def _least(one: str, other: str) -> str:
    a, b = parse_quantity(one), parse_quantity(other)
    return other if a is not None and b is not None and b < a else one


def _most(one: str, other: str) -> str:
    return other if _least(one, other) == one else one


def container_resources(
    resources: Resources, figures: DefaultResources = SERVER_RESOURCES
) -> dict[str, dict[str, str]]:
    """The user's figures over the defaults.

    A default request never exceeds the user's limit, and a default limit is raised to the user's request: who
    names one of the two gets a pod that the API server takes.
    """
    asked = resources.requests.model_dump(by_alias=True, exclude_none=True)
    capped = resources.limits.model_dump(by_alias=True, exclude_none=True)
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    for name, default in figures.requests.items():
        requests[name] = asked.get(name) or _least(default, capped.get(name, default))
        limits[name] = capped.get(name) or _most(figures.limits[name], requests[name])
    return {"requests": requests, "limits": limits}
