"""Runs one pass over one server: look, resolve, desire, plan, act, load, verify, report."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from flame_operator.changes.apply import Applier
from flame_operator.changes.children import Children
from flame_operator.changes.gates import allowed, secret_first
from flame_operator.changes.plan import plan
from flame_operator.desired.addresses import external_urls
from flame_operator.desired.children import desired_children
from flame_operator.desired.inputs import Defaults
from flame_operator.desired.installation import with_defaults
from flame_operator.diagnosis.diagnosis import Diagnosis
from flame_operator.errors import Conflict, InvalidSpec, NamespaceTerminating, Refused
from flame_operator.formats.times import utc_now
from flame_operator.informer.cache import Cache
from flame_operator.ingestion.pipeline import Pipeline
from flame_operator.ingestion.runs import Store
from flame_operator.reconcile.resolver import Resolver
from flame_operator.reconcile.revisit import is_overdue, is_young, seconds_to_next_pass
from flame_operator.references.tokens import Tokens
from flame_operator.resource.kinds import DEPLOYMENT, QDRANT, SERVICE, STATEFUL_SET, Key, Manifest
from flame_operator.resource.ownership import is_going
from flame_operator.resource.reasons import Reason
from flame_operator.resource.server import Server, parse_server
from flame_operator.resource.unions import managed_qdrant
from flame_operator.status.outcome import Outcome, outcome_of
from flame_operator.status.reporter import Reporter
from flame_operator.verification.verification import Verification
from flame_operator.workloads.deployments import pod_counts

ROUNDS = 4
"""How often a pass plans, at most.

It plans again when a live object isn't the one in the cache, and after it has made a generated Secret.
"""


@dataclass(frozen=True, kw_only=True)
class Reconciler:
    """Brings the children and the status of a server to its desired state; one call is one pass."""

    cache: Cache
    defaults: Callable[[], Defaults]
    children: Children
    resolver: Resolver
    applier: Applier
    pipeline: Pipeline
    verification: Verification
    diagnosis: Diagnosis
    reporter: Reporter
    now: Callable[[], str] = utc_now

    async def __call__(self, key: Key) -> float | None:
        """Reconcile one server.

        Returns:
            Seconds until the next pass is due even without an event, or None.

        Raises:
            Refused: The API server refuses a child; the status says so, and a retry may succeed.
            Conflict: Objects changed faster than they could be read.
            Unavailable: The API server doesn't answer.
        """
        body = self.cache.server(key)
        if body is None or is_going(body):
            self._forget(key)
            return None  # garbage collection removes what the server owns
        if await self.reporter.stands_back(body):
            self._forget(key)
            return None
        try:
            server = with_defaults(parse_server(body), self.defaults())
        except InvalidSpec as error:
            self._forget(key)
            message = f"The spec can't be used: {error}. Correct it and apply it again."
            await self.reporter.report_blocked(body, Reason.INVALID_SPEC, message)
            return None
        try:
            return await self._reconcile(server, body.get("status") or {})
        except NamespaceTerminating:
            return None  # the server will be deleted as well

    async def report_bug(self, key: Key) -> None:
        """Say in the status of a resource that the operator has a bug that keeps it from handling it."""
        body = self.cache.server(key)
        if body is not None and not is_going(body):
            await self.reporter.report_bug(body)

    async def _reconcile(self, server: Server, status: Manifest) -> float | None:
        """Run the steps of a pass in order. A refused child stops neither verification nor the report."""
        defaults = self.defaults()
        await self.children.look(server)
        outcome = await self._converge(server, status, defaults)
        overdue = is_overdue(status, server.generation, self.now())
        if managed_qdrant(server):
            outcome = await self._look_at_store(server, outcome, overdue=overdue)
        if outcome.refused is None:
            outcome = await self._load(server, status, defaults, outcome)
        deployment = self.children.known(server, DEPLOYMENT.kind)
        service = self.children.known(server, SERVICE.kind)
        check = self.verification.verify(server, status, deployment, service)
        why = await self.diagnosis.of_server(server, deployment) if overdue else None
        outcome = replace(outcome, check=check, why=why, external_urls=external_urls(server, service))
        await self.reporter.report(server, deployment, outcome)
        if outcome.refused is not None:
            raise outcome.refused
        return seconds_to_next_pass(outcome, pod_counts(deployment), overdue=overdue)

    async def _converge(self, server: Server, status: Manifest, defaults: Defaults) -> Outcome:
        """Resolve, desire, plan and act, until the plan is carried out as far as it may be now."""
        tokens, last_conflict = Tokens(), ""
        for _ in range(ROUNDS):
            resolution = await self.resolver.resolve(server, status, tokens)
            desired = desired_children(server, defaults, resolution.facts)
            actions = plan(server, desired, self.children.observed(server))
            outcome = outcome_of(
                server, defaults, resolution.references, actions, waits_for_turn=resolution.waits_for_turn
            )
            outcome = replace(outcome, token_gone=resolution.facts.token_gone)
            if server.spec.suspend:
                return outcome
            first = secret_first(actions)
            now = allowed(
                first,
                references_missing=bool(outcome.missing),
                token_gone=outcome.token_gone,
                keep=resolution.keep,
            )
            try:
                await self.applier.carry_out(server, now)
            except Conflict as conflict:
                last_conflict = str(conflict)
                continue
            except NamespaceTerminating:
                raise
            except Refused as refused:
                return replace(outcome, refused=refused)
            if first == actions:
                return outcome
        raise Conflict(f"the children changed {ROUNDS} times during this pass: {last_conflict}")

    async def _look_at_store(self, server: Server, outcome: Outcome, *, overdue: bool) -> Outcome:
        """Add the state of the server's own Qdrant to the outcome."""
        store = self.children.known(server, STATEFUL_SET.kind, QDRANT)
        why = await self.diagnosis.of_store(server, store) if overdue else None
        if why is None and (overdue or is_young(store, self.now())):
            why = await self.diagnosis.of_volumes(store)
        return replace(outcome, store=pod_counts(store), why_store=why)

    async def _load(self, server: Server, status: Manifest, defaults: Defaults, outcome: Outcome) -> Outcome:
        """Take the next step of loading docs, and add the state of ingestion to the outcome."""
        store = Store(
            why=outcome.why_store.message if outcome.why_store else "",
            missing=outcome.missing_for_ingestion,
            sources=outcome.sources,
        )
        try:
            state = await self.pipeline.advance(server, status, defaults, store, self.now())
        except NamespaceTerminating:
            raise
        except Refused as refused:
            return replace(outcome, refused=refused)
        return replace(outcome, ingestion=state)

    def _forget(self, key: Key) -> None:
        self.resolver.forget(key)
        self.verification.forget(key)
        self.pipeline.forget(key)
