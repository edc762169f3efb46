"""Makes the answers to probes, and decides when the process has to be restarted.

The endpoints run in the operator's own event loop: when that is stuck, nothing answers, and Kubernetes
restarts the container.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flame_operator.telemetry.http_server import Answer, Endpoints, serve

__all__ = ["Answer", "Endpoints", "Role", "Vitals", "is_ready", "liveness", "readiness", "serve", "trouble"]

Role = Literal["standby", "starting", "leader", "stopping"]
SWEEPS_MISSED = 3
LEAST_SWEEP_AGE = 120.0
"""A sweep younger than this, in seconds, is never late.

It matters with a very short resync interval, where a sweep takes longer than the interval.
"""
ANSWERING_SECONDS = 60.0
"""An API server whose last answer is older than this, in seconds, counts as down."""


@dataclass(frozen=True)
class Vitals:
    """The facts from which the health of the process is judged; ages are in seconds."""

    role: Role
    in_contact: bool
    """Whether the API server has answered at least once."""
    silent_for: float
    """The age of the API server's last answer."""
    sweep_age: float
    """The age of the last successful sweep."""
    resync_seconds: float


def trouble(vitals: Vitals) -> str | None:
    """Why the process has to be restarted, or None when it doesn't.

    An outage of the API server is no reason to restart: a new process couldn't do anything either.
    """
    oldest = max(SWEEPS_MISSED * vitals.resync_seconds, LEAST_SWEEP_AGE)
    if vitals.role == "leader" and vitals.sweep_age > oldest and vitals.silent_for < ANSWERING_SECONDS:
        return f"no sweep has succeeded for {vitals.sweep_age:.0f} s although the API server answers"
    return None


def is_ready(vitals: Vitals) -> bool:
    """Whether the process is up and fills its role, as a standby or as the leader."""
    return vitals.in_contact and vitals.role in ("standby", "leader")


def liveness(vitals: Vitals, **details: object) -> Answer:
    """The response of GET /healthz: 200, or 503 when the process has to be restarted.

    Args:
        vitals: The facts to judge.
        details: More fields for the response.
    """
    found = trouble(vitals)
    status = "ok" if found is None else found
    return _json(200 if found is None else 503, {"status": status, "role": vitals.role, **details})


def readiness(vitals: Vitals) -> Answer:
    """The response of GET /readyz: 200 when the process is ready, else 503."""
    ready = is_ready(vitals)
    return _json(200 if ready else 503, {"status": "ready" if ready else "not ready", "role": vitals.role})


def _json(status: int, body: Mapping[str, Any]) -> Answer:
    return Answer(status, "application/json", json.dumps(body).encode())
