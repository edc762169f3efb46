"""Watches servers with kopf, which lists, watches, reconnects and logs in.

This is the only module that knows kopf. Nothing is decided here, and kopf writes nothing to the cluster,
because no handler here stores any state.
"""

import dataclasses
import os
import platform
import random
from collections.abc import Callable, Collection, Iterator
from typing import Any, Protocol

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from flame_operator.api.bounded_session import bounded_session
from flame_operator.api.paging import PAGE
from flame_operator.api.transport import uses_kubeconfig
from flame_operator.concurrency import until_one_ends
from flame_operator.resource.kinds import GROUP, SERVER, Kind, Manifest

USER_AGENT = "flame-operator-watch"
INACTIVITY_SECONDS = 70.0
SERVER_TIMEOUT_SECONDS = 290


class Seen(Protocol):
    """A function that handles the events of the watch."""

    def __call__(self, body: Manifest, *, deleted: bool) -> None:
        """Handle one event; `body` is the complete object, which must not be changed."""


class _Forever:
    """Endless delays with jitter: kopf's own delays are finite, so a longer outage would end the process."""

    def __iter__(self) -> Iterator[float]:
        delay = 0.5
        while True:
            yield delay * (0.5 + random.random())  # noqa: S311 - spreads load, guards nothing
            delay = min(delay * 2, 20.0)


class _NoMemories(ResourceMemories):
    """A store that remembers nothing about the objects of events.

    kopf would keep a record for every existing object. These records serve only stateful handlers, timers and
    daemons, and there are none here.
    """

    async def recall(
        self,
        raw_body: Any,  # noqa: ANN401 - a type that kopf keeps private
        *,
        memobase: Any = None,  # noqa: ANN401 - a type that kopf keeps private
        noticed_by_listing: bool = False,
        ephemeral: bool = False,  # noqa: ARG002 - every record is ephemeral here
    ) -> ResourceMemory:
        return await super().recall(
            raw_body, memobase=memobase, noticed_by_listing=noticed_by_listing, ephemeral=True
        )


async def watch(
    seen: Seen,
    *,
    namespaces: Collection[str] = (),
    started: Callable[[], None] = lambda: None,
    exit_seconds: float = 60,
) -> None:
    """Watch all servers until cancelled.

    Args:
        seen: Handles the events.
        namespaces: Where to look; empty means everywhere.
        started: Called once kopf has installed its handlers for SIGTERM and SIGINT, to replace them.
        exit_seconds: How long the process may live after a cancellation. kopf kills it then, so that
            Kubernetes starts a new one if anything hangs.

    Raises:
        Exception: kopf gave up on a watch. A new process starts with fresh lists, so ending is safe.
    """
    roots = await kopf.spawn_tasks(
        registry=_registry(seen),
        settings=_settings(exit_seconds),
        memories=_NoMemories(),
        # kopf's own default needs a user name, which the numeric user of a container doesn't have.
        identity=f"flame-operator@{platform.node()}",  # type: ignore[arg-type] # a str type that kopf keeps private
        standalone=True,
        clusterwide=not namespaces,
        namespaces=sorted(namespaces),
    )
    started()
    # kopf.run_tasks isn't used, nor kopf.operator, which calls it: at the end it cancels every task that is
    # younger than itself as if it were its own, for example the requests of a queue that is being drained.
    await until_one_ends(roots)
    raise RuntimeError("kopf has ended its watches, although nothing asked it to")


def _registry(seen: Seen) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    on_event = kopf.on.event(
        SERVER.group,
        SERVER.version,
        SERVER.plural,
        id="seen",
        when=_filter_of(SERVER, seen),
        registry=registry,
    )
    on_event(_unused_handler)
    kopf.on.login(registry=registry)(_login)
    return registry


def _filter_of(kind: Kind, seen: Seen) -> Callable[..., bool]:
    """A handler's filter that handles each event itself and then rejects it, so no handler is ever called.

    kopf's work around each call of a handler takes half of the CPU that an event costs, and most events are
    about the operator's own writes, which it already knows.
    """

    def take(event: kopf.RawEvent, **_: object) -> bool:
        # Items of a list come without apiVersion and kind.
        body = {**event["object"], "apiVersion": kind.api_version, "kind": kind.kind}
        seen(body, deleted=event["type"] == "DELETED")
        return False

    return take


async def _unused_handler(**_: object) -> None:
    """Do nothing: kopf needs a handler, but the filter of `_filter_of` rejects every event."""


def _login(**context: Any) -> kopf.AiohttpSession | None:  # noqa: ANN401 - kopf's own keyword arguments
    info = _connection(**context)
    if info is None:
        return None
    return kopf.AiohttpSession(server=info.server, aiohttp_session=bounded_session(info, USER_AGENT))


def _connection(**context: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - see `_login`
    if uses_kubeconfig():
        return kopf.login_with_kubeconfig(**context)
    info = kopf.login_with_service_account(**context)
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if info is None or not host:
        return info
    # Connect by address, not by name: the operator must work while the cluster's DNS doesn't.
    return dataclasses.replace(info, server=f"https://{f'[{host}]' if ':' in host else host}:{port}")


def _settings(exit_seconds: float) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.process.ultimate_exiting_timeout = exit_seconds
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.watching.chunk_size = PAGE  # the session makes smaller ones of them, where they are large
    settings.watching.server_timeout = SERVER_TIMEOUT_SECONDS
    settings.watching.client_timeout = SERVER_TIMEOUT_SECONDS + 60
    settings.watching.inactivity_timeout = INACTIVITY_SECONDS
    settings.watching.connect_timeout = 10
    settings.watching.reconnect_backoff = 1.0
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 60
    settings.networking.error_backoffs = _Forever()
    settings.queueing.worker_limit = None  # our own queue limits concurrency
    settings.queueing.idle_timeout = 0.02
    settings.queueing.exit_timeout = 5
    # Never used, as no handler needs a finalizer; kopf's default name would clash with another operator's.
    settings.persistence.finalizer = f"{GROUP}/kopf"
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    return settings


class _NoDiffBase(kopf.DiffBaseStorage):
    """A store that keeps no earlier state of objects: to compare, kopf would copy each object per event."""

    def build(self, **_: object) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, **_: object) -> None:
        """Return None: no state is stored."""

    def store(self, **_: object) -> None:
        """Do nothing."""


class _NoProgress(kopf.ProgressStorage):
    """A store that keeps no progress of handlers: there are none that need more than one call."""

    def fetch(self, **_: object) -> None:
        """Return None: no progress is stored."""

    def store(self, **_: object) -> None:
        """Do nothing."""

    def purge(self, **_: object) -> None:
        """Do nothing."""

    def touch(self, **_: object) -> None:
        """Do nothing."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence
