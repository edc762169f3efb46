"""Which of the planned actions may be carried out now. Pure."""

from collections.abc import Collection, Iterable

from flame_operator.changes.plan import Action, Apply, Delete
from flame_operator.resource.kinds import DEPLOYMENT, SECRET, SERVICE


def secret_first(actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """If the actions create a Secret, only that one and the Service that is marked with it; else all.

    The pods' digest of references depends on what is in the Secret, so that everything else is planned anew.
    """
    kinds = (SECRET.kind, SERVICE.kind)
    applies = [action for action in actions if isinstance(action, Apply)]
    if not any(action.manifest["kind"] == SECRET.kind and action.uid is None for action in applies):
        return actions
    return tuple(action for action in applies if action.manifest["kind"] in kinds)


def allowed(
    actions: Iterable[Action], *, references_missing: bool, keep: Collection[str] = ()
) -> list[Action]:
    """The actions without those that would do harm now.

    Args:
        actions: The whole plan.
        references_missing: Whether pods would lack a Secret or ConfigMap that they read. Then no pod is
            created or replaced.
        keep: Names of children that are no longer desired, but still in use: they aren't deleted.
    """
    found = []
    for action in actions:
        lacks = (
            isinstance(action, Apply) and action.manifest["kind"] == DEPLOYMENT.kind and references_missing
        )
        of_use = isinstance(action, Delete) and action.child["metadata"]["name"] in keep
        if not (lacks or of_use):
            found.append(action)
    return found
