"""Wires the operator: watch and sweeps feed cache and queue, workers reconcile, a Lease says who may."""

import asyncio
import importlib.metadata
import signal
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from flame_operator import health
from flame_operator.cache import Cache
from flame_operator.desired import Defaults
from flame_operator.digests import Digests, load_key
from flame_operator.events import Recorder
from flame_operator.health import Answer, Endpoints, Vitals
from flame_operator.helpers import Helpers
from flame_operator.informer import Informer
from flame_operator.kube import AioKube, Leases
from flame_operator.leader import Alone, Election, Leader
from flame_operator.lifecycle import Lifecycle
from flame_operator.mcp_probe import McpProbe
from flame_operator.metrics import CONTENT_TYPE, Metrics
from flame_operator.model import HTTP_ROUTE, MANAGER, QDRANT, SECRET, SERVICE_MONITOR, Key, Kind
from flame_operator.order import resume_rollout
from flame_operator.pacing import Pacer
from flame_operator.pipeline import Turns
from flame_operator.queue import WorkQueue
from flame_operator.reconcile import Reconciler
from flame_operator.references import References
from flame_operator.settings import Settings
from flame_operator.sight import Sight
from flame_operator.ticks import utc_now
from flame_operator.transport import Transport, connect
from flame_operator.verify import Verifier
from flame_operator.watch import watch

EXIT_SECONDS = 10.0
"""What the end may take beyond draining."""


async def run(settings: Settings, *, namespaces: Sequence[str] = (), liveness_port: int = 0) -> None:
    """Operate until SIGTERM or SIGINT, then finish what has begun.

    Args:
        settings: The operator's settings.
        namespaces: Where to look; empty means everywhere.
        liveness_port: Where to answer probes; 0 switches them off.

    Raises:
        UserError: The cluster can't be used as it is; the message says what is missing.
        LostLease: Another operator may lead.
        Blind: The watch has stopped delivering.
        Exception: Anything else ends the process; the next one starts from fresh lists and repeats no write.
    """
    stop = asyncio.Event()
    take_signals = partial(_take_signals, stop)
    take_signals()
    version = importlib.metadata.version("flame-mcp-operator")
    agent, metrics = f"{MANAGER}/{version} ({settings.pod_name})", Metrics(version=version)
    async with AsyncExitStack() as stack:
        connecting = connect(concurrency=settings.api_concurrency, user_agent=agent, metrics=metrics)
        transport = await stack.enter_async_context(connecting)
        election = _election(settings, transport)
        metrics.show_leader(lambda: election.valid_for() > 0)
        api, cache = AioKube(transport, valid_for=election.valid_for), Cache()
        digests = Digests()
        helpers, queue = _work(settings, api, cache, digests, served=lambda: informer.served, metrics=metrics)
        sight = Sight(namespaced=bool(namespaces), grace=settings.watch_grace_seconds, metrics=metrics)
        informer = Informer(
            api,
            cache,
            queue.add,
            sight,
            settings.resync_seconds,
            settings.settle_seconds,
            namespaces,
            optional_kinds=_optional_kinds(settings),
            metrics=metrics,
        )
        life = Lifecycle(election, queue, drain_seconds=settings.drain_seconds)

        async def prime() -> None:
            digests.use(await load_key(api, settings.namespace))
            await informer.prime()
            for key in cache.servers():
                resume_rollout(cache, helpers.pacer, key)

        watching = partial(
            watch,
            informer.seen,
            namespaces=namespaces,
            started=take_signals,
            exit_seconds=settings.drain_seconds + EXIT_SECONDS,
        )
        vitals = partial(_vitals, life, election, transport, informer)
        await stack.enter_async_context(health.serve(liveness_port, _probes(vitals, queue, cache)))
        await stack.enter_async_context(health.serve(settings.metrics_port, _page(metrics)))
        await life.run(stop, prime, [watching, informer.sweep_forever, *helpers.background()])


def _work(  # noqa: PLR0913 - what the process consists of
    settings: Settings,
    api: AioKube,
    cache: Cache,
    digests: Digests,
    *,
    served: Callable[[], Collection[Kind]],
    metrics: Metrics,
) -> tuple[Helpers, WorkQueue]:
    """What works on resources: the queue, and all that puts them into it."""

    def again(key: Key) -> None:
        queue.add(key)

    def reference_changed(key: Key) -> None:
        # The generated token is one too, and nobody else tells of it.
        cache.learn(SECRET.kind, key, None)
        cache.learn(SECRET.kind, Key(key.namespace, key.name + QDRANT), None)
        queue.add(key)

    def defaults() -> Defaults:
        kinds = served()
        return replace(static, http_routes=HTTP_ROUTE in kinds, service_monitors=SERVICE_MONITOR in kinds)

    static = Defaults(
        image=settings.server_image,
        qdrant_image=settings.qdrant_image,
        image_pull_secrets=settings.image_pull_secrets,
        operator_namespace=settings.namespace,
    )
    helpers = Helpers(
        references=References(api, digests, reference_changed, poll_seconds=settings.reference_poll_seconds),
        pacer=Pacer(settings.rollout_parallelism, again),
        turns=Turns(settings.ingestion_parallelism),
        verifier=Verifier(
            McpProbe(),
            per_second=settings.verifications_per_second,
            on_change=again,
            observe=metrics.verified,
        ),
        recorder=Recorder(
            api,
            per_second=settings.events_per_second,
            instance=settings.pod_name,
            now=utc_now,
            observe=metrics.event_written,
        ),
    )
    metrics.show_rollouts(lambda: helpers.pacer.waiting)
    reconcile = Reconciler(api, cache, defaults, helpers, metrics=metrics)
    queue = WorkQueue(reconcile, workers=settings.workers, metrics=metrics)
    return helpers, queue


def _optional_kinds(settings: Settings) -> list[Kind]:
    wanted = {HTTP_ROUTE: settings.http_routes, SERVICE_MONITOR: settings.service_monitors}
    return [kind for kind, on in wanted.items() if on]


def _vitals(life: Lifecycle, election: Election, transport: Transport, informer: Informer) -> Vitals:
    return Vitals(
        role=life.role,
        in_contact=election.in_contact,
        silent_for=transport.silent_for(),
        sweep_age=time.monotonic() - informer.swept_at,
        resync_seconds=informer.resync_seconds,
    )


def _probes(vitals: Callable[[], Vitals], queue: WorkQueue, cache: Cache) -> Endpoints:
    return {
        "/healthz": lambda: health.liveness(vitals(), queue=queue.depth, objects=len(cache)),
        "/readyz": lambda: health.readiness(vitals()),
    }


def _page(metrics: Metrics) -> Endpoints:
    return {"/metrics": lambda: Answer(200, CONTENT_TYPE, metrics.render())}


def _take_signals(stop: asyncio.Event) -> None:
    """Have the signals that end a process ask it to stop. kopf takes them for itself when it starts."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


def _election(settings: Settings, transport: Transport) -> Election:
    if not settings.leader_election:
        return Alone()
    lease = Key(settings.namespace, settings.lease_name)
    return Leader(Leases(transport, lease), settings.pod_name)
