"""Makes a container's requests and limits from the spec and the operator's defaults."""

from dataclasses import dataclass

from flame_operator.formats.quantity import parse_quantity
from flame_operator.resource.spec.common import Resources


@dataclass(frozen=True)
class DefaultResources:
    """The default requests and limits of a container."""

    requests: dict[str, str]
    limits: dict[str, str]


SERVER_RESOURCES = DefaultResources(
    requests={"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "64Mi"},
    limits={"cpu": "500m", "memory": "512Mi", "ephemeral-storage": "256Mi"},
)


def count_or_percent(given: str) -> int | str:
    """A number of pods in the form that Kubernetes takes: an integer, or a percentage as text."""
    return int(given) if given.isdecimal() else given


def _smaller(one: str, other: str) -> str:
    a, b = parse_quantity(one), parse_quantity(other)
    return other if a is not None and b is not None and b < a else one


def _larger(one: str, other: str) -> str:
    return other if _smaller(one, other) == one else one


def container_resources(
    resources: Resources, figures: DefaultResources = SERVER_RESOURCES
) -> dict[str, dict[str, str]]:
    """A container's requests and limits: the user's values, and the defaults where there are none.

    A default request never exceeds the user's limit, and a default limit is raised to the user's request, so
    that a user who sets only one of the two gets a pod that the API server accepts. A CPU limit of nothing
    means that there is none: a container can be throttled without it being short of anything.
    """
    asked = resources.requests.model_dump(by_alias=True, exclude_none=True)
    capped = resources.limits.model_dump(by_alias=True, exclude_none=True)
    unlimited = parse_quantity(capped.get("cpu", "1")) == 0
    if unlimited:
        del capped["cpu"]
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    for name, default in figures.requests.items():
        requests[name] = asked.get(name) or _smaller(default, capped.get(name, default))
        limits[name] = capped.get(name) or _larger(figures.limits[name], requests[name])
    if unlimited:
        del limits["cpu"]
    return {"requests": requests, "limits": limits}
