"""Gathers the facts that decide about a server's children: references, generated values, pacing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from flame_operator.changes.children import Children
from flame_operator.desired.inputs import Facts
from flame_operator.desired.naming import QDRANT_READ_KEY, QDRANT_WRITE_KEY, TOKEN_KEY
from flame_operator.desired.qdrant import unkeyed_digest
from flame_operator.desired.references import caller_token, references
from flame_operator.formats.shape import at, number
from flame_operator.informer.kept import SCALED_BY_OTHERS
from flame_operator.references.digests import Digests
from flame_operator.references.lookup import References
from flame_operator.references.resolved import Resolved
from flame_operator.references.tokens import Tokens, is_generated
from flame_operator.resource.annotations import KEYS_HASH
from flame_operator.resource.kinds import (
    DEPLOYMENT,
    QDRANT,
    QDRANT_PEERS,
    SECRET,
    STATEFUL_SET,
    Key,
    Manifest,
)
from flame_operator.resource.server import Server
from flame_operator.resource.unions import generates_token, managed_qdrant
from flame_operator.rollouts.rollouts import Rollouts
from flame_operator.workloads.deployments import reads_secret, still_asks_qdrant
from flame_operator.workloads.stateful_sets import claim_metadata, replicas_now


@dataclass(frozen=True)
class Resolution:
    """The facts that have been gathered for one server."""

    facts: Facts
    references: Resolved
    waits_for_turn: bool
    """Whether pods keep the old values of Secrets until it is their turn to be replaced."""
    keep: frozenset[str] = frozenset()
    """Names of children that are no longer desired, but that pods of an earlier spec still use."""


class Resolver:
    """Gathers the facts that decide about a server's children, besides its spec."""

    def __init__(
        self, references: References, rollouts: Rollouts, children: Children, digests: Digests
    ) -> None:
        self._references = references
        self._rollouts = rollouts
        self._children = children
        self._digests = digests

    async def resolve(self, server: Server, status: Manifest, tokens: Tokens) -> Resolution:
        """Gather everything that `desired_children` needs to know about the cluster.

        Args:
            server: The server.
            status: Its stored status.
            tokens: Generates values, and keeps those that this pass has already generated.

        Raises:
            Refused: The API server refuses to read a referenced object, for a reason other than RBAC.
            Unavailable: The API server doesn't answer.
        """
        resolved = await self._references.resolve(server.key, references(server))
        deployment = self._children.known(server, DEPLOYMENT.kind)
        digest, waits = self._rollouts.admit(server, status, deployment, resolved)
        facts = self._facts(server, status, deployment, digest, tokens)
        facts = replace(facts, token_gone=_token_gone(server, deployment, resolved))
        qdrant = {server.key.name + QDRANT, server.key.name + QDRANT_PEERS} if facts.asks_qdrant else ()
        return Resolution(facts, resolved, waits, keep=frozenset(qdrant))

    def forget(self, key: Key) -> None:
        """Forget a server that is gone or has an invalid spec."""
        self._references.forget(key)
        self._rollouts.forget(key)

    def _facts(
        self, server: Server, status: Manifest, deployment: Manifest | None, digest: str, tokens: Tokens
    ) -> Facts:
        token, keys, keys_digest, asks_qdrant, replicas = None, None, "", False, None
        store = self._children.known(server, STATEFUL_SET.kind, QDRANT)
        if generates_token(server):
            token = tokens.values(self._children.known(server, SECRET.kind), TOKEN_KEY)[TOKEN_KEY]
        if managed := managed_qdrant(server):
            complete = (number(at(status, "vectorStore", "peers")) or 0) > 1
            replicas = replicas_now(managed.replicas, store, complete=complete)
            secret = self._children.known(server, SECRET.kind, QDRANT)
            keys = tokens.values(secret, QDRANT_WRITE_KEY, QDRANT_READ_KEY)
            keys_digest = self._keys_digest(server, keys)
        else:
            asks_qdrant = still_asks_qdrant(server, deployment, store)
        return Facts(
            references=digest,
            token=token,
            qdrant_keys=keys,
            qdrant_keys_digest=keys_digest,
            qdrant_replicas=replicas,
            claim_metadata=claim_metadata(store),
            scaled_by_others=deployment is not None and SCALED_BY_OTHERS in deployment["metadata"],
            asks_qdrant=asks_qdrant,
        )

    def _keys_digest(self, server: Server, keys: Mapping[str, str]) -> str:
        """The digest of Qdrant's keys: keyed, so that nobody can guess a short key from it.

        Earlier operators wrote an unkeyed one. It is kept as long as the keys are those that it was made of,
        and nobody can guess them: another value would restart every Qdrant for nothing.
        """
        store = self._children.known(server, STATEFUL_SET.kind, QDRANT)
        unkeyed = unkeyed_digest(keys)
        written = at(store, "spec", "template", "metadata", "annotations", KEYS_HASH)
        if written == unkeyed and all(map(is_generated, keys.values())):
            return unkeyed
        metadata = {"namespace": server.key.namespace, "name": server.key.name + QDRANT}
        secret = {"kind": SECRET.kind, "metadata": metadata, "data": dict(keys)}
        return self._digests.value(secret, None).hex()


def _token_gone(server: Server, deployment: Manifest | None, resolved: Resolved) -> bool:
    """Whether pods accept a token whose Secret or key has been deleted since.

    Pods of an earlier spec, which read their token elsewhere, don't count: a spec may name a Secret before
    it exists, and that takes nothing away.
    """
    token = caller_token(server)
    return token in resolved.gone and reads_secret(deployment, token.name, token.key) if token else False
