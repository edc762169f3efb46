"""Selects the planned actions that may be carried out now. Pure."""

from collections.abc import Collection, Iterable, Iterator

from flame_operator.changes.plan import Action, Apply, AwaitDeletion, Delete, NameTaken
from flame_operator.resource.kinds import DEPLOYMENT, SECRET, SERVICE, STATEFUL_SET


def secret_first(actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """The actions to start with: if a Secret is created, only Secrets and Services, else all actions.

    The Service carries the mark of the generated Secret. The pods' digest of references depends on the
    Secret's content, so everything else is planned again once the Secret exists.
    """
    kinds = (SECRET.kind, SERVICE.kind)
    applies = [action for action in actions if isinstance(action, Apply)]
    if not any(action.manifest["kind"] == SECRET.kind and action.uid is None for action in applies):
        return actions
    return tuple(action for action in applies if action.manifest["kind"] in kinds)


def foreign_secrets(actions: Iterable[Action]) -> Iterator[str]:
    """The names of Secrets that pods would read, but that don't belong to the server."""
    for action in actions:
        if isinstance(action, NameTaken | AwaitDeletion) and action.child["kind"] == SECRET.kind:
            yield action.child["metadata"]["name"]


def allowed(
    actions: Iterable[Action],
    *,
    references_missing: bool,
    token_gone: bool = False,
    keep: Collection[str] = (),
) -> list[Action]:
    """The actions, except those that would do harm now.

    Args:
        actions: The whole plan.
        references_missing: Whether pods would lack a Secret or ConfigMap that they read. In that case, no pod
            is created or replaced. The same holds while a Secret with the name of a generated one belongs to
            somebody else.
        token_gone: Whether pods have to end because the token that they accept is gone. They are replaced
            although references are missing; none is created where there is no Deployment.
        keep: Names of children that are no longer desired but still in use: they aren't deleted.
    """
    found = []
    actions = tuple(actions)
    # Pods read Secrets by name: they would take a stranger's value for the token or the key.
    foreign = set(foreign_secrets(actions))
    for action in actions:
        lacks_references = isinstance(action, Apply) and (
            (
                action.manifest["kind"] == DEPLOYMENT.kind
                and (references_missing or bool(foreign))
                and not (token_gone and action.uid is not None)
            )
            # Qdrant's StatefulSet has the name of the Secret with its keys.
            or (
                action.manifest["kind"] == STATEFUL_SET.kind
                and action.manifest["metadata"]["name"] in foreign
            )
        )
        deletes_used = isinstance(action, Delete) and action.child["metadata"]["name"] in keep
        if not (lacks_references or deletes_used):
            found.append(action)
    return found
