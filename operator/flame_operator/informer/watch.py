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
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from flame_operator.api.transport import uses_kubeconfig
from flame_operator.concurrency import until_one_ends
from flame_operator.informer.sweep import selector
from flame_operator.resource.kinds import GROUP, SERVER, WATCHED_KINDS, Kind, Manifest

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


class _NoMemories(ResourceMemories):
    """Keeps nothing of the objects that events are about.

    kopf would keep a record for every object that exists. All that is in it serves handlers with a state,
    timers and daemons, of which there are none here.
    """

    async def recall(
        self,
        raw_body: Any,  # noqa: ANN401 - a type that kopf keeps private
        *,
        memobase: Any = None,  # noqa: ANN401 - likewise
        noticed_by_listing: bool = False,
        ephemeral: bool = False,  # noqa: ARG002 - everything is
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
    """Report every server and every child until it is cancelled.

    Args:
        seen: Takes the events.
        namespaces: Where to look; empty means everywhere.
        started: Called once kopf has taken SIGTERM and SIGINT for itself, to take them back.
        exit_seconds: How long after a cancellation the process may still live. kopf kills it then: should
            anything hang, Kubernetes starts a new one.

    Raises:
        Exception: kopf gave up on a watch. A new process starts with fresh lists, so ending is safe.
    """
    roots = await kopf.spawn_tasks(
        registry=_registry(seen),
        settings=_settings(exit_seconds),
        memories=_NoMemories(),
        # kopf's own guess asks for a user's name, which the numeric user of a container hasn't got.
        identity=f"flame-operator@{platform.node()}",  # type: ignore[arg-type] # a str type that kopf keeps private
        standalone=True,
        clusterwide=not namespaces,
        namespaces=sorted(namespaces),
    )
    started()
    # Not kopf.run_tasks, nor kopf.operator, which calls it: in the end it cancels every task that is younger
    # than itself, taking it for its own: the requests of a queue that is being drained, for example.
    await until_one_ends(roots)
    raise RuntimeError("kopf has ended its watches unasked")


def _registry(seen: Seen) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    for kind in (SERVER, *WATCHED_KINDS):
        on_event = kopf.on.event(
            kind.group, kind.version, kind.plural, id="seen", when=_taker(kind, seen), registry=registry
        )
        on_event(_nothing_more)
    kopf.on.login(registry=registry)(_login)
    return registry


def _taker(kind: Kind, seen: Seen) -> Callable[..., bool]:
    """Takes events as a handler's filter, so that no handler is ever called.

    What kopf does for each call of a handler takes half of the CPU that an event costs; most events are of
    the operator's own writes, which it knows already.
    """

    def take(event: kopf.RawEvent, **_: object) -> bool:
        # Items of a list don't say what they are.
        body = {**event["object"], "apiVersion": kind.api_version, "kind": kind.kind}
        seen(body, deleted=event["type"] == "DELETED")
        return False

    return take


async def _nothing_more(**_: object) -> None:
    """Never called: see `_taker`."""


def _login(**context: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - kopf's own keyword arguments
    if uses_kubeconfig():
        return kopf.login_with_kubeconfig(**context)
    info = kopf.login_with_service_account(**context)
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if info is None or not host:
        return info
    # By address, not by name: the operator must work while the cluster's DNS doesn't.
    return dataclasses.replace(info, server=f"https://{f'[{host}]' if ':' in host else host}:{port}")


def _settings(exit_seconds: float) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.process.ultimate_exiting_timeout = exit_seconds
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.watching.chunk_size = 100  # so that what waits to be handled after a start stays small
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
    for kind in WATCHED_KINDS:
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = selector(kind)
    return settings


class _NoDiffBase(kopf.DiffBaseStorage):
    """What was handled before isn't kept: to compare, kopf would copy each object at each event."""

    def build(self, **_: object) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, **_: object) -> None:
        """Nothing was stored."""

    def store(self, **_: object) -> None:
        """Nothing is stored."""


class _NoProgress(kopf.ProgressStorage):
    """How far a handler has come isn't kept: ours are done at once."""

    def fetch(self, **_: object) -> None:
        """Nothing was stored."""

    def store(self, **_: object) -> None:
        """Nothing is stored."""

    def purge(self, **_: object) -> None:
        """Nothing was stored."""

    def touch(self, **_: object) -> None:
        """Nothing is stored."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence
