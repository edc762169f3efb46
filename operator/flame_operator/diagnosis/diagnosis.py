"""Reads pods, volume claims and Events, to tell why children aren't as the spec says."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

from flame_operator.api.kube import KubeApi
from flame_operator.desired.naming import Component, selector_labels
from flame_operator.desired.qdrant import VOLUME
from flame_operator.errors import Conflict, Refused
from flame_operator.formats.shape import at, mappings, text
from flame_operator.resource.kinds import POD, VOLUME_CLAIM, Key, Manifest, key_of
from flame_operator.resource.server import Server
from flame_operator.workloads.causes import (
    QDRANT_PODS,
    RUN_PODS,
    SERVER_PODS,
    Cause,
    Part,
    is_pending,
    newest_first,
    unready,
    waits_for_volume,
    why_no_pod,
    why_no_start,
    why_no_volume,
    why_not_ready,
    why_small,
)
from flame_operator.workloads.deployments import pod_counts

PATIENCE_SECONDS = 10.0
"""How long something may take before it is asked why."""
EVENTS_SECONDS = 60.0
"""How long Events that told something count, before they are read again."""
NO_EVENTS_SECONDS = 10.0
MOST_REMEMBERED = 1024
"""Of how many objects the Events are remembered."""
MOST_CLAIMS = 16
"""How many claims are looked at, at most."""

Events = Sequence[Manifest]


class Diagnosis:
    """Tells why pods of servers, which aren't watched, don't come or don't get ready.

    Every method may raise `Unavailable`. What the API server refuses tells nothing.

    Args:
        api: The API of the cluster.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, api: KubeApi, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._told: OrderedDict[str, tuple[float, Events]] = OrderedDict()

    async def of_server(self, server: Server, deployment: Manifest | None) -> Cause | None:
        """Why not all pods of the server run the current spec and are ready; None when nothing tells."""
        counts = pod_counts(deployment)
        # Before there are pods of a new spec, nothing of what others say is about it.
        if deployment is None or counts.complete or not (counts.current and counts.updated):
            return None
        pods = await self._pods(server, "server")
        return why_not_ready(pods, SERVER_PODS) or await self._of_pending(unready(pods, SERVER_PODS))

    async def of_store(self, server: Server, store: Manifest | None) -> Cause | None:
        """Why not all pods of the server's own Qdrant run the current spec and are ready; None likewise."""
        counts = pod_counts(store)
        if store is None or counts.complete or not counts.current:
            return None
        pods = await self._pods(server, "qdrant")
        if counts.total < counts.wanted and (cause := await self._not_created(store, QDRANT_PODS)):
            return cause
        return await self._of_pods(
            pods, QDRANT_PODS, lambda pod: iter([f"{VOLUME}-{pod['metadata']['name']}"])
        )

    async def of_volumes(self, store: Manifest | None) -> Cause | None:
        """Why volumes of a Qdrant are smaller than they should be; None when nothing tells."""
        if store is None:
            return None
        namespace, name = key_of(store)
        for number in range(min(pod_counts(store).wanted, MOST_CLAIMS)):
            key = Key(namespace, f"{VOLUME}-{name}-{number}")
            try:
                found = await self._api.get(VOLUME_CLAIM, key)
            except Refused:
                return None
            if cause := why_small(key.name, found):
                return cause
        return None

    async def of_run(self, job: Manifest, pods: Sequence[Manifest], seconds: float) -> Cause | None:
        """Why a run doesn't get to work.

        Args:
            job: Its Job.
            pods: The Job's pods.
            seconds: How long ago it was started.
        """
        if seconds < PATIENCE_SECONDS:
            return why_not_ready(newest_first(pods)[:1], RUN_PODS)
        if not pods:
            return await self._not_created(job, RUN_PODS)
        return await self._of_pods(newest_first(pods)[:1], RUN_PODS, lambda _: _claims(job))

    async def _of_pods(
        self, pods: Sequence[Manifest], part: Part, claims: Callable[[Manifest], Iterator[str]]
    ) -> Cause | None:
        found = unready(pods, part)
        for pod in [one for one in found if waits_for_volume(one)][:1]:
            for name in list(claims(pod))[:MOST_CLAIMS]:
                if cause := await self._no_volume(Key(pod["metadata"]["namespace"], name), part):
                    return cause
        return why_not_ready(found, part) or await self._of_pending(found)

    async def _of_pending(self, pods: Sequence[Manifest]) -> Cause | None:
        for pod in [one for one in pods if is_pending(one)][:1]:
            return why_no_start(await self._events(pod))
        return None

    async def _not_created(self, maker: Manifest, part: Part) -> Cause | None:
        return why_no_pod(await self._events(maker), part)

    async def _no_volume(self, key: Key, part: Part) -> Cause | None:
        try:
            claim = await self._api.get(VOLUME_CLAIM, key)
        except Refused:
            return None
        pending = claim is not None and at(claim, "status", "phase") == "Pending"
        return why_no_volume(key.name, claim, await self._events(claim) if claim and pending else (), part)

    async def _pods(self, server: Server, component: Component) -> Sequence[Manifest]:
        selector = ",".join(
            f"{name}={value}" for name, value in selector_labels(server.key.name, component).items()
        )
        try:
            return [
                pod async for pod in self._api.list(POD, selector=selector, namespace=server.key.namespace)
            ]
        except (Refused, Conflict):
            return ()

    async def _events(self, of: Manifest) -> Events:
        """The Events about an object, read at most once in `EVENTS_SECONDS`.

        The API server has no index of Events: it reads all of a namespace to find those about an object.
        """
        uid, now = text(of["metadata"].get("uid")), self._clock()
        until, found = self._told.get(uid, (now, ()))
        if until > now or not uid:
            return found
        try:
            found = await self._api.events_about(uid, key_of(of).namespace)
        except (Refused, Conflict):
            found = ()  # the right to list Events is younger than other rights of the operator
        tells = any("Failed" in event["reason"] for event in found)
        self._told[uid] = (now + (EVENTS_SECONDS if tells else NO_EVENTS_SECONDS), found)
        self._told.move_to_end(uid)
        while len(self._told) > MOST_REMEMBERED:
            self._told.popitem(last=False)
        return found


def _claims(job: Manifest) -> Iterator[str]:
    """The names of the volume claims that a Job's pods mount."""
    for volume in mappings(at(job, "spec", "template", "spec", "volumes")):
        if name := text(at(volume, "persistentVolumeClaim", "claimName")):
            yield name
