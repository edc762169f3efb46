"""One pass over one server: look, decide, act, report."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from flame_operator.apply import Applier
from flame_operator.cache import SCALED_BY_OTHERS, Cache
from flame_operator.checks import check_of, is_verified, target_of
from flame_operator.desired import Defaults, Facts, desired
from flame_operator.desired.naming import (
    OWNS_SECRET,
    QDRANT_READ_KEY,
    QDRANT_WRITE_KEY,
    TOKEN_KEY,
    selector_labels,
)
from flame_operator.desired.references import references
from flame_operator.desired.unions import generates_token, loads, managed_qdrant
from flame_operator.digests import only_values_differ
from flame_operator.errors import Conflict, InvalidSpec, NamespaceTerminating, Refused
from flame_operator.events import transitions
from flame_operator.helpers import Helpers
from flame_operator.kube import KubeApi
from flame_operator.lanes import Loading
from flame_operator.metrics import Metrics
from flame_operator.model import (
    DEPLOYMENT,
    POD,
    QDRANT,
    QDRANT_PEERS,
    SECRET,
    SERVICE,
    STATEFUL_SET,
    Key,
    Manifest,
    Server,
    key_of,
    parse_server,
)
from flame_operator.order import (
    OVERDUE_SECONDS,
    allowed,
    digest_of,
    first_the_secret,
    have_failed,
    is_of_another,
    look_again,
    named,
    still_asks_qdrant,
)
from flame_operator.pacing import is_rolling
from flame_operator.pipeline import INGESTION, Pipeline
from flame_operator.plan import Conflict as Taken
from flame_operator.plan import Wait as Going
from flame_operator.plan import is_ours, is_subset, plan
from flame_operator.pods import pods_of, why_not_ready
from flame_operator.reasons import Reason
from flame_operator.references import Resolved
from flame_operator.status import Check, Outcome, blocked_status, server_status
from flame_operator.support import disabled
from flame_operator.ticks import seconds_between, utc_now
from flame_operator.tokens import Tokens

ROUNDS = 4
"""How often a pass decides anew: when an object is another than the cache had, and once there is a token."""


class Reconciler:
    """Makes the children and the status of a server what its spec asks for."""

    def __init__(  # noqa: PLR0913 - two are for tests
        self,
        api: KubeApi,
        cache: Cache,
        defaults: Callable[[], Defaults],
        helpers: Helpers,
        *,
        metrics: Metrics | None = None,
        now: Callable[[], str] = utc_now,
    ) -> None:
        self._api = api
        self._cache = cache
        self._defaults = defaults
        self._helpers = helpers
        self._applier = Applier(api, cache)
        self._metrics = metrics or Metrics()
        self._pipeline = Pipeline(api, cache, helpers.turns, self._metrics)
        self._now = now

    async def __call__(self, key: Key) -> float | None:
        """Work on one key.

        Returns:
            Seconds until it has to be looked at again without an event, or None.

        Raises:
            Refused: The API server refuses a child; the status says so, and it may be tried again.
            Conflict: Objects changed faster than they could be looked at.
            Unavailable: The API server doesn't answer.
        """
        body = self._cache.server(key)
        if body is None or body["metadata"].get("deletionTimestamp"):
            self._helpers.forget(key)
            return None  # garbage collection removes what the server owns
        try:
            server = parse_server(body)
        except InvalidSpec as error:
            message = f"The spec can't be used: {error}. Correct it and apply it again."
            await self._block(key, body, Reason.INVALID_SPEC, message)
            return None
        try:
            outcome, refusal = await self._act(server, body)
            deployment = self._applier.known(server, DEPLOYMENT.kind)
            check, overdue = self._check(server, body, deployment), self._is_overdue(body)
            why = await self._why(server, deployment) if overdue else ""
            outcome = replace(outcome, why=why, check=check)
            loading = None
            if refusal is None:
                try:
                    loading = await self._load(server, body, outcome)
                except NamespaceTerminating:
                    raise
                except Refused as refused:
                    outcome, refusal = replace(outcome, refused=str(refused)), refused
            outcome = replace(outcome, loading=loading)
        except NamespaceTerminating:
            return None
        await self._report(key, lambda old: server_status(server, deployment, outcome, old, self._now()))
        if refusal is not None:
            raise refusal
        waits = [look_again(outcome, pods_of(deployment), overdue=overdue)]
        waits += [loading.look_again] if loading else []
        return min((seconds for seconds in waits if seconds is not None), default=None)

    async def _act(self, server: Server, body: Manifest) -> tuple[Outcome, Refused | None]:
        """Bring the children to what they should be, as far as they may be changed now."""
        tokens, trouble = Tokens(), ""
        await self._look_where_no_event_tells(server)
        for _ in range(ROUNDS):
            resolved = await self._helpers.references.resolve(server.key, references(server))
            facts, waits = self._facts(server, body, resolved, tokens)
            defaults = self._defaults()
            actions = plan(server, desired(server, defaults, facts), self._cache.children(server.key))
            outcome = Outcome(
                taken=tuple(named(action.child) for action in actions if isinstance(action, Taken)),
                waiting=tuple(named(action.child) for action in actions if isinstance(action, Going)),
                missing=resolved.problems,
                awaited=resolved.awaited,
                disabled=disabled(server, defaults),
                waits_for_turn=waits,
            )
            if server.spec.suspend:
                return outcome, None
            now = first_the_secret(actions)
            try:
                keep = (server.key.name + QDRANT, server.key.name + QDRANT_PEERS) if facts.asks_qdrant else ()
                await self._applier.carry_out(server, allowed(now, resolved, keep=keep))
            except Conflict as conflict:
                trouble = str(conflict)
                continue
            except NamespaceTerminating:
                raise
            except Refused as refused:
                return replace(outcome, refused=str(refused)), refused
            if now == actions:
                return outcome, None
        raise Conflict(f"its children changed {ROUNDS} times while they were looked at: {trouble}")

    async def _load(self, server: Server, body: Manifest, outcome: Outcome) -> Loading | None:
        """The next step of loading docs; None when this server's come with the image."""
        status = body.get("status") or {}
        if not (loads(server) or status.get(INGESTION)):
            return None
        # Of what pods do without, a run needs its sources.
        sources = (one for one in outcome.awaited if one.startswith("spec.ingestion"))
        missing = (*outcome.missing, *sources)
        loading = await self._pipeline.advance(server, status, self._defaults(), missing, self._now())
        if not loads(server):
            self._metrics.set_index(server.key, None, stale=False)
            return None
        loaded = loading.lane.succeeded
        seconds = datetime.fromisoformat(loaded).timestamp() if loaded else None
        self._metrics.set_index(server.key, seconds, stale=loading.stale)
        return loading

    async def _look_where_no_event_tells(self, server: Server) -> None:
        for child in self._cache.children(server.key):
            if not is_ours(server, child) and not is_of_another(server, child):
                await self._applier.look(child["kind"], key_of(child))
        service = self._applier.known(server, SERVICE.kind)
        marked = service is not None and OWNS_SECRET in (service["metadata"].get("annotations") or {})
        if (marked or generates_token(server)) and self._cache.child(SECRET.kind, server.key) is None:
            await self._applier.look(SECRET.kind, server.key)
        # Its own Qdrant tells of the other Secret: it goes after that.
        store = managed_qdrant(server) or self._applier.known(server, STATEFUL_SET.kind, QDRANT)
        if store and self._cache.child(SECRET.kind, server.key, QDRANT) is None:
            await self._applier.look(SECRET.kind, Key(server.key.namespace, server.key.name + QDRANT))

    def _facts(
        self, server: Server, body: Manifest, resolved: Resolved, tokens: Tokens
    ) -> tuple[Facts, bool]:
        """What decides about children besides the spec, and whether the pods wait for their turn."""
        deployment = self._applier.known(server, DEPLOYMENT.kind)
        if deployment is None:
            wait, scaled, digest = False, False, resolved.digest
        else:
            scaled = SCALED_BY_OTHERS in deployment["metadata"]
            digest, wait = self._paced(server, body, deployment, resolved)
        token, keys, asks = None, None, False
        if generates_token(server):
            token = tokens.values(self._applier.known(server, SECRET.kind), TOKEN_KEY)[TOKEN_KEY]
        if managed_qdrant(server):
            secret = self._applier.known(server, SECRET.kind, QDRANT)
            keys = tokens.values(secret, QDRANT_WRITE_KEY, QDRANT_READ_KEY)
        else:
            store = self._applier.known(server, STATEFUL_SET.kind, QDRANT)
            asks = still_asks_qdrant(server, deployment, store)
        facts = Facts(
            references=digest, token=token, qdrant_keys=keys, scaled_by_others=scaled, asks_qdrant=asks
        )
        return facts, wait

    def _paced(
        self, server: Server, body: Manifest, deployment: Manifest, resolved: Resolved
    ) -> tuple[str, bool]:
        """The digest for the pods, and whether another one waits for its turn."""
        pods, pacer = pods_of(deployment), self._helpers.pacer
        current, new = digest_of(deployment), resolved.digest
        if resolved.problems or server.spec.suspend:
            return current, False
        if current == new:
            if not is_rolling(deployment):
                pacer.done(server.key)
            return new, False
        seen = (body.get("status") or {}).get("observedGeneration")
        if not only_values_differ(current, new) or seen != server.generation:
            return new, False  # the spec has changed, so pods are replaced anyhow
        if pacer.admit(server.key, broken=not pods.available):
            return new, False
        return current, True

    async def _why(self, server: Server, deployment: Manifest | None) -> str:
        """Why no pod is ready; empty when one is, or when they don't tell."""
        if not have_failed(pods_of(deployment)):
            return ""
        selector = ",".join(f"{name}={value}" for name, value in selector_labels(server.key.name).items())
        found = [pod async for pod in self._api.list(POD, selector=selector, namespace=server.key.namespace)]
        return why_not_ready(found)

    def _is_overdue(self, body: Manifest) -> bool:
        """Whether no pod has been ready for a while: they need time to start."""
        for condition in (body.get("status") or {}).get("conditions") or []:
            if condition["type"] == "Available" and condition["status"] == "False":
                return seconds_between(condition["lastTransitionTime"], self._now()) >= OVERDUE_SECONDS
        return False

    def _check(self, server: Server, body: Manifest, deployment: Manifest | None) -> Check | None:
        """What asking the server has found, if it has been asked; from now on it is asked."""
        target = target_of(server, deployment, self._applier.known(server, SERVICE.kind))
        if target is None:
            self._helpers.verifier.drop(server.key)
            return None
        self._helpers.verifier.want(server.key, target, known_good=is_verified(body.get("status") or {}))
        verdict = self._helpers.verifier.verdict(server.key)
        return check_of(verdict) if verdict else None

    async def _block(self, key: Key, body: Manifest, reason: Reason, message: str) -> None:
        """Leave the children as they are and say why."""
        self._helpers.forget(key)
        generation = body["metadata"].get("generation", 0)
        await self._report(key, lambda old: blocked_status(generation, reason, message, old, self._now()))

    async def _report(self, key: Key, status_after: Callable[[Manifest], Manifest]) -> None:
        """Write the status if it isn't there already."""
        body = self._cache.server(key)
        if body is None:
            return
        old = body.get("status") or {}
        status = status_after(old)
        if is_subset(status, old):
            return
        live = await self._api.patch_status(body, status)
        if live is None:
            return
        self._cache.put(live)
        for event in transitions(old, status):
            self._helpers.recorder.record(body, event)
