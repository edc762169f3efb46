"""The only module that knows kopf, which serves as an informer: it lists, watches, reconnects and logs in.

Nothing here decides anything, and kopf writes nothing to the cluster: no handler here stores a state.
"""

import dataclasses
import os
import platform
import random
from collections.abc import Callable, Collection, Iterator
from typing import Any, Protocol

import kopf

from flame_operator.kube import uses_kubeconfig
from flame_operator.model import CHILD_KINDS, GROUP, SERVER, Kind, Manifest
from flame_operator.sweep import selector

INACTIVITY_SECONDS = 70.0
SERVER_TIMEOUT_SECONDS = 290


class Seen(Protocol):
    """Takes each event."""

    def __call__(self, body: Manifest, *, deleted: bool) -> None:
        """Remember the object, which is complete; it mustn't be changed."""


class _Forever:
    """Endless jittered delays: with kopf's own finite ones a longer outage would end the process."""

    def __iter__(self) -> Iterator[float]:
        delay = 0.5
        while True:
            yield delay * (0.5 + random.random())  # noqa: S311 - spreads load, guards nothing
            delay = min(delay * 2, 20.0)


async def watch(
    seen: Seen,
    *,
    namespaces: Collection[str] = (),
    liveness_endpoint: str | None = None,
    probe: Callable[[], dict[str, Any]],
) -> None:
    """Report every server and every child until SIGTERM or SIGINT.

    Args:
        seen: Takes the events.
        namespaces: Where to look; empty means everywhere.
        liveness_endpoint: The URL under which to answer liveness probes.
        probe: What to answer; it raises when the process has to be restarted.

    Raises:
        Exception: kopf gave up on a watch. A new process starts with fresh lists, so ending is safe.
    """
    await kopf.operator(
        registry=_registry(seen, probe),
        settings=_settings(),
        # kopf's own guess asks for a user's name, which the numeric user of a container hasn't got.
        identity=f"flame-operator@{platform.node()}",  # type: ignore[arg-type] # a str type that kopf keeps private
        standalone=True,
        clusterwide=not namespaces,
        namespaces=sorted(namespaces),
        liveness_endpoint=liveness_endpoint,
    )


def _registry(seen: Seen, probe: Callable[[], dict[str, Any]]) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    for kind in (SERVER, *CHILD_KINDS):
        kopf.on.event(kind.group, kind.version, kind.plural, id="seen", registry=registry)(
            _handler(kind, seen)
        )
    kopf.on.login(registry=registry)(_login)

    @kopf.on.probe(id="operator", registry=registry)
    async def _probe(**_: object) -> dict[str, Any]:
        return probe()

    return registry


def _handler(kind: Kind, seen: Seen) -> Callable[..., Any]:
    async def handler(event: kopf.RawEvent, **_: object) -> None:
        # Items of a list don't say what they are.
        body = {**event["object"], "apiVersion": kind.api_version, "kind": kind.kind}
        seen(body, deleted=event["type"] == "DELETED")

    return handler


def _login(**context: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - kopf's own keyword arguments
    if uses_kubeconfig():
        return kopf.login_with_kubeconfig(**context)
    info = kopf.login_with_service_account(**context)
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if info is None or not host:
        return info
    # By address, not by name: the operator must work while the cluster's DNS doesn't.
    return dataclasses.replace(info, server=f"https://{f'[{host}]' if ':' in host else host}:{port}")


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = SERVER_TIMEOUT_SECONDS
    settings.watching.client_timeout = SERVER_TIMEOUT_SECONDS + 60
    settings.watching.inactivity_timeout = INACTIVITY_SECONDS
    settings.watching.connect_timeout = 10
    settings.watching.reconnect_backoff = 1.0
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 60
    settings.networking.error_backoffs = _Forever()
    settings.queueing.worker_limit = None  # our own queue limits concurrency
    settings.queueing.idle_timeout = 0.5
    settings.queueing.exit_timeout = 5
    # Never used, as no handler needs a finalizer; kopf's default name would clash with another operator's.
    settings.persistence.finalizer = f"{GROUP}/kopf"
    for kind in CHILD_KINDS:
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = selector(kind)
    return settings
