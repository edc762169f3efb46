"""Serves probes and metrics over HTTP, and decides when the process has to be restarted.

The endpoints run in the operator's own event loop: when that is stuck, nothing answers, and Kubernetes
restarts the container.
"""

import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from aiohttp import web

from flame_operator.errors import UserError

Role = Literal["standby", "starting", "leader", "stopping"]
SWEEPS_MISSED = 3
LEAST_SWEEP_AGE = 120.0
"""A sweep younger than this, in seconds, is never late.

It matters with a very short resync interval, where a sweep takes longer than the interval.
"""
ANSWERING_SECONDS = 60.0
"""An API server whose last answer is older than this, in seconds, counts as down."""


class Answer(NamedTuple):
    """The HTTP response of an endpoint."""

    status: int
    content_type: str
    body: bytes


Endpoints = Mapping[str, Callable[[], Answer]]
"""The HTTP paths, each with the function that makes its response."""


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


@asynccontextmanager
async def serve(port: int, endpoints: Endpoints) -> AsyncIterator[None]:
    """Serve GET requests on all addresses, IPv4 and IPv6, for as long as the context lasts.

    Args:
        port: Where to listen; 0 means nowhere.
        endpoints: What to serve.

    Raises:
        UserError: The port can't be listened on.
    """
    if port == 0:
        yield
        return
    app = web.Application()
    for path, answer in endpoints.items():
        app.router.add_get(path, _handler(answer))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            site = web.SockSite(runner, _listen(port))
        except OSError as error:
            raise UserError(f"can't listen on port {port}: {error.strerror}. Choose another one") from error
        await site.start()
        yield
    finally:
        await runner.cleanup()


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _handler(answer: Callable[[], Answer]) -> Callable[[web.Request], Any]:
    async def handle(_: web.Request) -> web.Response:
        status, content_type, body = answer()
        return web.Response(status=status, body=body, headers={"Content-Type": content_type})

    return handle
