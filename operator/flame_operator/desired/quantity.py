"""Kubernetes quantities: exact comparison, and the container's resources."""

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache

from flame_operator.spec.common import Resources

_SUFFIXES = {
    "": Decimal(1), "n": Decimal(10) ** -9, "u": Decimal(10) ** -6, "m": Decimal(10) ** -3,
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}  # fmt: skip
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d{1,3})|(n|u|m|k|[KMGTPE]i?)?)", re.ASCII)

# What the API server makes of a quantity: at most this, and no finer than that.
_MOST = Decimal(2**63 - 1)
_FINEST = Decimal("0.001")


@dataclass(frozen=True)
class Figures:
    """What a container requests and may use where the spec doesn't say."""

    requests: dict[str, str]
    limits: dict[str, str]


SERVER_FIGURES = Figures(
    requests={"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "64Mi"},
    limits={"cpu": "500m", "memory": "512Mi", "ephemeral-storage": "256Mi"},
)


@lru_cache(maxsize=1024)  # a dozen a pass, nearly always the same
def parse_quantity(text: str | int) -> Decimal | None:
    """The exact value of a quantity, or None when `text` isn't one."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None or match[3] not in (None, *_SUFFIXES):
        return None
    number, exponent, suffix = match.groups()
    return Decimal(number) * (Decimal(10) ** int(exponent) if exponent else _SUFFIXES[suffix or ""])


def same_quantity(one: str | int, other: str | int) -> bool:
    """Whether the API server keeps both as the same amount, which it caps and rounds up to thousandths."""
    kept = [
        amount if amount is None else min(amount, _MOST).quantize(_FINEST, ROUND_CEILING)
        for amount in map(parse_quantity, (one, other))
    ]
    return kept[0] is not None and kept[0] == kept[1]


def _least(one: str, other: str) -> str:
    a, b = parse_quantity(one), parse_quantity(other)
    return other if a is not None and b is not None and b < a else one


def _most(one: str, other: str) -> str:
    return other if _least(one, other) == one else one


def container_resources(resources: Resources, figures: Figures = SERVER_FIGURES) -> dict[str, dict[str, str]]:
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
