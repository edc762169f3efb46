"""What a pass may do at once, and when it has to look again. Pure but for `resume_rollout`."""

from collections.abc import Collection, Iterable

from flame_operator.cache import Cache
from flame_operator.desired.naming import REFERENCES_DIGEST
from flame_operator.model import (
    DEPLOYMENT,
    QDRANT,
    SECRET,
    SERVER,
    SERVICE,
    Key,
    Manifest,
    Server,
    controller,
)
from flame_operator.pacing import Pacer, is_rolling
from flame_operator.plan import Action, Apply, Delete
from flame_operator.pods import Pods, pods_of
from flame_operator.references import Resolved
from flame_operator.status import Outcome

LOOK_AGAIN_SECONDS = 30.0
"""How soon a foreign object is looked at again: it isn't watched, so nothing tells when it goes away."""
OVERDUE_SECONDS = 10.0
"""How long pods may take to start before they are asked why they don't."""
ASK_AGAIN_SECONDS = 60.0
"""How soon pods that don't get ready are asked again: why they don't may change without an event."""


def resume_rollout(cache: Cache, pacer: Pacer, key: Key) -> None:
    """Have pods that were being replaced when the last operator ended count as such."""
    deployment = cache.child(DEPLOYMENT.kind, key)
    if deployment is not None and digest_of(deployment) and is_rolling(deployment):
        pacer.resume(key)


def is_of_another(server: Server, child: Manifest) -> bool:
    """Whether it is another server's child: `docs` may have a Qdrant, and `docs-qdrant` be a server."""
    owner = controller(child)
    return owner is not None and owner.get("kind") == SERVER.kind and owner.get("name") != server.key.name


def digest_of(deployment: Manifest) -> str:
    """What the pods' Secrets and ConfigMaps were when they were made."""
    annotations = deployment["spec"]["template"]["metadata"].get("annotations") or {}
    found: str = annotations.get(REFERENCES_DIGEST, "")
    return found


def look_again(outcome: Outcome, pods: Pods, *, overdue: bool) -> float | None:
    """In how many seconds, where no event would tell of what is waited for."""
    if outcome.taken or outcome.waiting:
        return LOOK_AGAIN_SECONDS
    if not have_failed(pods):
        return None
    return ASK_AGAIN_SECONDS if overdue else OVERDUE_SECONDS + 1


def have_failed(pods: Pods) -> bool:
    """Whether pods are wanted and none of them serves."""
    return pods.seen and pods.wanted > 0 and pods.available == 0


def first_the_secret(actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """Of actions that make a Secret only that, and its mark: the digest for the pods needs what is in it."""
    kinds = (SECRET.kind, SERVICE.kind)
    applies = [action for action in actions if isinstance(action, Apply)]
    if not any(action.manifest["kind"] == SECRET.kind and action.uid is None for action in applies):
        return actions
    return tuple(action for action in applies if action.manifest["kind"] in kinds)


def allowed(actions: Iterable[Action], resolved: Resolved, *, keep: Collection[str] = ()) -> list[Action]:
    """What may be done: no pods are made or replaced that would lack what they read.

    Args:
        actions: What has to be done in the end.
        resolved: What pods read.
        keep: Names of children that are no longer wanted, and still of use.
    """
    found = []
    for action in actions:
        lacks = isinstance(action, Apply) and action.manifest["kind"] == DEPLOYMENT.kind and resolved.problems
        of_use = isinstance(action, Delete) and action.child["metadata"]["name"] in keep
        if not (lacks or of_use):
            found.append(action)
    return found


def still_asks_qdrant(server: Server, deployment: Manifest | None, store: Manifest | None) -> bool:
    """Whether pods may still search in the Qdrant server of a resource whose spec has none.

    They do until the last of them has been replaced: those of the new spec may come to nothing.
    """
    if store is None or deployment is None:
        return False
    pod = deployment["spec"]["template"]["spec"]
    sources = (
        source for volume in pod["volumes"] for source in volume.get("projected", {}).get("sources", ())
    )
    reads = any(source.get("secret", {}).get("name") == server.key.name + QDRANT for source in sources)
    return reads or not pods_of(deployment).complete


def named(child: Manifest) -> str:
    """How messages call an object."""
    return f"{child['kind']} {child['metadata']['name']}"
