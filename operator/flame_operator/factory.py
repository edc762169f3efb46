"""Makes the parts of the operator and connects them; `app.run` starts them."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from flame_operator.api.kube import AioKube, Leases
from flame_operator.api.lists import Lists
from flame_operator.api.transport import Transport
from flame_operator.changes.apply import Applier
from flame_operator.changes.children import Children
from flame_operator.defaults import defaults_of
from flame_operator.desired.inputs import Defaults
from flame_operator.diagnosis.diagnosis import Diagnosis
from flame_operator.formats.times import utc_now
from flame_operator.informer.cache import Cache
from flame_operator.informer.child_watch import ChildWatch
from flame_operator.informer.informer import Informer
from flame_operator.informer.namespaces import Namespaces
from flame_operator.informer.watch import watch
from flame_operator.informer.watch_health import WatchHealth
from flame_operator.ingestion.pipeline import Pipeline
from flame_operator.ingestion.turns import Turns
from flame_operator.leadership.election import Alone, Election, Leader
from flame_operator.leadership.lifecycle import Lifecycle
from flame_operator.reconcile.queue import WorkQueue
from flame_operator.reconcile.reconciler import Reconciler
from flame_operator.reconcile.resolver import Resolver
from flame_operator.references.digests import Digests, load_key
from flame_operator.references.lookup import References
from flame_operator.resource.installation import Installation
from flame_operator.resource.kinds import (
    DEPLOYMENT,
    HTTP_ROUTE,
    QDRANT,
    SECRET,
    SERVICE_MONITOR,
    Key,
    Kind,
    Manifest,
    is_whole,
)
from flame_operator.rollouts.pacer import Pacer
from flame_operator.rollouts.rollouts import Rollouts
from flame_operator.samples import samples
from flame_operator.settings import Settings
from flame_operator.status.recorder import Recorder
from flame_operator.status.reporter import Reporter
from flame_operator.telemetry.health import Vitals
from flame_operator.telemetry.metrics import Metrics
from flame_operator.verification.mcp_check import McpCheck
from flame_operator.verification.verification import Verification
from flame_operator.verification.verifier import Verifier

EXIT_SECONDS = 10.0
"""How many seconds the process may take to end after the queue has been drained."""


@dataclass(frozen=True)
class Factory:
    """Makes each part of the operator once, when it is first used.

    Parts that depend on each other in a circle, as the queue and those that add to it, are connected here.

    Attributes:
        settings: The operator's settings.
        transport: Sends requests to the API server.
        metrics: The metrics of this process.
        namespaces: Which namespaces to watch; empty means all.
    """

    settings: Settings
    transport: Transport
    metrics: Metrics
    namespaces: Sequence[str] = ()

    @cached_property
    def installation(self) -> Installation:
        """Who this operator is among others of the cluster, and which servers it handles."""
        settings = self.settings
        return Installation(
            name=settings.identity or f"{settings.namespace}/{settings.lease_name}",
            operator_class=settings.operator_class,
            excluded=frozenset(settings.exclude_namespaces),
        )

    @cached_property
    def election(self) -> Election:
        """Decides whether this process leads."""
        if not self.settings.leader_election:
            return Alone()
        lease = Key(self.settings.namespace, self.settings.lease_name)
        return Leader(Leases(self.transport, lease), self.settings.pod_name)

    @cached_property
    def api(self) -> AioKube:
        """The Kubernetes API, which writes only as long as this process may write."""
        return AioKube(self.transport, valid_for=self.election.valid_for)

    @cached_property
    def cache(self) -> Cache:
        """The newest known versions of servers and children."""
        return Cache(samples(self._static_defaults))

    @cached_property
    def informer(self) -> Informer:
        """Keeps the cache up to date, and adds servers that have changed to the queue."""
        settings = self.settings
        return Informer(
            self.api,
            self.cache,
            self.queue.add,
            WatchHealth(
                namespaced=bool(self.namespaces), grace=settings.watch_grace_seconds, metrics=self.metrics
            ),
            settings.resync_seconds,
            settings.settle_seconds,
            self.namespaces,
            optional_kinds=self._optional_kinds(),
            metrics=self.metrics,
            covers=self._covers,
        )

    @cached_property
    def chosen(self) -> Namespaces | None:
        """Follows the namespaces that the settings' label selector chooses; None when there is none."""
        chosen_by = self.settings.namespace_selector
        return Namespaces(Lists(self.transport), chosen_by) if chosen_by else None

    @cached_property
    def child_watch(self) -> ChildWatch:
        """Watches children, and tells the informer of them."""
        return ChildWatch(api=Lists(self.transport), informer=self.informer, namespaces=self.namespaces)

    @cached_property
    def queue(self) -> WorkQueue:
        """The queue of servers that have to be reconciled."""
        return WorkQueue(
            self.reconciler,
            on_bugs=self.reconciler.report_bug,
            workers=self.settings.workers,
            metrics=self.metrics,
        )

    @cached_property
    def lifecycle(self) -> Lifecycle:
        """Runs the queue while this process leads."""
        return Lifecycle(self.election, self.queue, drain_seconds=self.settings.drain_seconds)

    @cached_property
    def reconciler(self) -> Reconciler:
        """Runs the passes over servers."""
        children = Children(self.api, self.cache, self._add_later)
        return Reconciler(
            cache=self.cache,
            defaults=self._defaults,
            children=children,
            resolver=Resolver(self.references, self.rollouts, children, self.digests),
            applier=Applier(self.api, self.cache, children),
            pipeline=self.pipeline,
            verification=Verification(self.verifier),
            diagnosis=self.diagnosis,
            reporter=Reporter(self.api, self.cache, self.recorder, self.installation),
        )

    @cached_property
    def pipeline(self) -> Pipeline:
        """Runs the Jobs that load docs."""
        loop = asyncio.get_running_loop()
        turns = Turns(self.settings.ingestion_parallelism, self._add_ahead, loop.time, loop.call_later)
        return Pipeline(self.api, self.cache, turns, self.diagnosis, self.metrics)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """Tells why pods don't come or don't get ready."""
        return Diagnosis(self.api)

    @cached_property
    def digests(self) -> Digests:
        """Makes digests of the content of Secrets; it has its key once `prime` has read it."""
        return Digests()

    @cached_property
    def references(self) -> References:
        """Polls the Secrets and ConfigMaps that specs name."""
        return References(
            self.api,
            self.digests,
            self._reference_changed,
            poll_seconds=self.settings.reference_poll_seconds,
        )

    @cached_property
    def rollouts(self) -> Rollouts:
        """Paces rollouts that a changed Secret or ConfigMap causes."""
        rollouts = Rollouts(Pacer(self.settings.rollout_parallelism, self._add))
        self.metrics.show_rollouts(lambda: rollouts.waiting)
        return rollouts

    @cached_property
    def verifier(self) -> Verifier:
        """Verifies running servers."""
        return Verifier(
            McpCheck(),
            per_second=self.settings.verifications_per_second,
            on_change=self._add,
            observe=self.metrics.verified,
        )

    @cached_property
    def recorder(self) -> Recorder:
        """Writes Kubernetes Events."""
        return Recorder(
            self.api,
            per_second=self.settings.events_per_second,
            instance=self.settings.pod_name,
            now=utc_now,
            observe=self.metrics.event_written,
        )

    async def prime(self) -> None:
        """Load the digests' key, the cache and the rollouts under way, before the first pass."""
        self.digests.use(await load_key(self.api, self.settings.namespace))
        if self.chosen is not None:
            await self.chosen.prime()
        await self.informer.prime()
        for key in self.cache.servers():
            deployment = self.cache.child(DEPLOYMENT.kind, key)
            self.rollouts.resume(key, deployment if deployment and is_whole(deployment) else None)
            self.pipeline.resume(key, utc_now())

    def background(
        self, *, watch_started: Callable[[], None]
    ) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
        """The functions that run for as long as this process leads.

        Args:
            watch_started: Called once kopf has installed its signal handlers, to replace them.
        """
        watching = partial(
            watch,
            self.informer.seen,
            namespaces=self.namespaces,
            started=watch_started,
            exit_seconds=self.settings.drain_seconds + EXIT_SECONDS,
        )
        return (
            watching,
            self.child_watch.run,
            *(() if self.chosen is None else (partial(self.chosen.run, self.informer),)),
            self.informer.sweep_forever,
            self.references.run,
            self.verifier.run,
            self.recorder.run,
            self.rollouts.run,
        )

    def vitals(self) -> Vitals:
        """The facts from which the health of the process is judged."""
        return Vitals(
            role=self.lifecycle.role,
            in_contact=self.election.in_contact,
            silent_for=self.transport.silent_for(),
            sweep_age=time.monotonic() - self.informer.swept_at,
            resync_seconds=self.informer.resync_seconds,
        )

    def _covers(self, body: Manifest) -> bool:
        chosen = self.chosen is None or self.chosen.covers(body)
        return chosen and self.installation.covers(body)

    def _add(self, key: Key) -> None:
        self.queue.add(key)

    def _add_ahead(self, key: Key) -> None:
        self.queue.add_ahead(key)

    def _add_later(self, key: Key, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self.queue.add, key)

    def _reference_changed(self, key: Key) -> None:
        # Generated Secrets are references, too, and nothing else reports when they change.
        self.cache.learn(SECRET.kind, key, None)
        self.cache.learn(SECRET.kind, Key(key.namespace, key.name + QDRANT), None)
        self.queue.add(key)

    def _defaults(self) -> Defaults:
        kinds = self.informer.served
        return replace(
            self._static_defaults,
            http_routes=HTTP_ROUTE in kinds,
            service_monitors=SERVICE_MONITOR in kinds,
        )

    @cached_property
    def _static_defaults(self) -> Defaults:
        return replace(defaults_of(self.settings), operator_namespace=self.settings.namespace)

    def _optional_kinds(self) -> list[Kind]:
        wanted = {HTTP_ROUTE: self.settings.http_routes, SERVICE_MONITOR: self.settings.service_monitors}
        return [kind for kind, on in wanted.items() if on]
