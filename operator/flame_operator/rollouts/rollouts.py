"""Decides whether a server's pods may be replaced now, after what they read has changed."""

import asyncio

import structlog

from flame_operator.references.digests import only_values_differ
from flame_operator.references.resolved import Resolved
from flame_operator.resource.kinds import Key, Manifest
from flame_operator.resource.server import Server
from flame_operator.rollouts.pacer import Pacer
from flame_operator.workloads.deployments import is_rolling, pod_counts, references_digest

log = structlog.get_logger(__name__)

EXPIRE_SECONDS = 30.0
"""How often to end the turns of rollouts that take too long."""


class Rollouts:
    """Paces the rollouts that a changed Secret or ConfigMap causes. Rollouts of a changed spec never wait."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer

    @property
    def waiting(self) -> int:
        """How many servers wait for their turn."""
        return self._pacer.waiting

    def admit(
        self, server: Server, status: Manifest, deployment: Manifest | None, resolved: Resolved
    ) -> tuple[str, bool]:
        """The digest of references that the pods get now, and whether a newer one has to wait for its turn.

        Args:
            server: The server.
            status: Its stored status.
            deployment: Its live Deployment.
            resolved: Its resolved references.
        """
        if deployment is None:
            return resolved.digest, False
        current, new = references_digest(deployment), resolved.digest
        if resolved.problems or server.spec.suspend:
            return current, False
        if current == new:
            if not is_rolling(deployment):
                self._pacer.done(server.key)
            return new, False
        if not only_values_differ(current, new) or status.get("observedGeneration") != server.generation:
            return new, False  # the spec has changed, so pods are replaced anyway
        if self._pacer.admit(server.key, broken=not pod_counts(deployment).available):
            return new, False
        return current, True

    def resume(self, key: Key, deployment: Manifest | None) -> None:
        """Count a rollout that was already under way when the operator started."""
        if deployment is not None and references_digest(deployment) and is_rolling(deployment):
            self._pacer.resume(key)

    def forget(self, key: Key) -> None:
        """Forget a server that is gone."""
        self._pacer.done(key)

    async def run(self) -> None:
        """End turns that take too long, until cancelled."""
        while True:
            await asyncio.sleep(EXPIRE_SECONDS)
            for key in self._pacer.expire():
                log.warning("pods were not replaced in time; the next server gets its turn", **key.fields())
