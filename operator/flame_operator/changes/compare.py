"""Compares live objects with desired ones, and makes the patches for what an apply can't correct. Pure."""

from collections.abc import Iterator
from typing import Any

from flame_operator.formats.quantity import same_quantity
from flame_operator.formats.shape import at, mapping, mappings, text
from flame_operator.resource.kinds import Manifest

# Lists whose items the API server tells apart by key fields; others may add items of their own to them.
LIST_KEYS = {
    "containers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "ownerReferences": ("uid",),
    "conditions": ("type",),
    "ports": ("containerPort", "port", "protocol"),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
# Lists to which nobody else may add items: one more port is one more way in.
EXACT_LISTS = {"ports"}
# The rules of a NetworkPolicy: even a single added field may let more in or out, as `endPort` does.
VERBATIM = {"ingress", "egress"}
# Maps in which one more entry selects other objects: a Service that has no pods, a policy that covers none.
EXACT_MAPS = {"selector", "matchLabels"}
# Maps whose values are quantities: the API server may write `0.5` as `500m`.
QUANTITIES = {"requests", "limits", "emptyDir"}


def is_subset(wanted: Any, live: Any, field: str = "") -> bool:  # noqa: ANN401 - any JSON value
    """Whether `live` contains everything in `wanted`; it may hold more: defaults, and additions by others.

    Args:
        wanted: The JSON value that the operator would send.
        live: The JSON value that the API server has.
        field: The name of the field that holds both; it decides how lists and quantities are compared.
    """
    if isinstance(wanted, dict):
        if field in EXACT_MAPS and isinstance(live, dict) and not live.keys() <= wanted.keys():
            return False
        # The API server leaves out empty maps and lists, so their absence isn't a difference.
        return isinstance(live, dict) and all(
            is_subset(value, live.get(name), _child_field(field, name))
            for name, value in wanted.items()
            if value != {}
        )
    if isinstance(wanted, list):
        if field in VERBATIM:
            return bool(wanted == live)
        return isinstance(live, list) and _list_is_subset(wanted, live, field)
    if field == "quantity":
        return wanted == live or (isinstance(live, str | int) and same_quantity(wanted, live))
    # The API server leaves out empty texts, too.
    return (bool(wanted == live) and type(wanted) is type(live)) or (wanted == "" and live is None)


def _child_field(field: str, name: str) -> str:
    return "quantity" if field in QUANTITIES and name != "medium" else name


def _list_is_subset(wanted: list[Any], live: list[Any], field: str) -> bool:
    names = LIST_KEYS.get(field)
    if names is None:
        return len(wanted) == len(live) and all(
            is_subset(one, other) for one, other in zip(wanted, live, strict=True)
        )  # fmt: skip
    by_key = _keyed(live, names)
    known = _keyed(wanted, names)
    return (field not in EXACT_LISTS or by_key.keys() <= known.keys()) and all(
        is_subset(item, by_key.get(key)) for key, item in known.items()
    )


def _keyed(items: list[Any], names: tuple[str, ...]) -> dict[tuple[Any, ...], Any]:
    """The items by their key fields. Items that no API server would store get keys that nothing else has."""
    return {
        tuple(_plain(item.get(name)) for name in names)
        if isinstance(item, dict)
        else ("no object", position): item
        for position, item in enumerate(items)
    }


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | None) else id(value)


def corrections(wanted: Manifest, live: Manifest) -> list[Manifest]:
    """The JSON Patch operations that remove others' additions from fields that must hold nothing else."""
    return list(_corrections(wanted, live, "", ""))


def _corrections(wanted: Any, live: Any, field: str, path: str) -> Iterator[Manifest]:  # noqa: ANN401 - JSON
    if isinstance(wanted, dict) and isinstance(live, dict):
        if field in EXACT_MAPS and not live.keys() <= wanted.keys():
            yield {"op": "replace", "path": path, "value": wanted}
            return
        for name in wanted.keys() & live.keys():
            yield from _corrections(wanted[name], live[name], name, f"{path}/{name}")
    elif isinstance(wanted, list) and isinstance(live, list) and field in LIST_KEYS:
        known = _keyed(wanted, LIST_KEYS[field])
        keys = list(_keyed(live, LIST_KEYS[field]))
        if field in EXACT_LISTS and not set(keys) <= known.keys():
            yield {"op": "replace", "path": path, "value": wanted}
            return
        for index, key in enumerate(keys):
            yield from _corrections(known.get(key), live[index], "", f"{path}/{index}")


def without_replicas(live: Manifest, manager: str) -> list[Manifest]:
    """The JSON Patch operations with which a field manager gives up `spec.replicas`; the value stays.

    Empty when the manager doesn't own the field.
    """
    operations = []
    for number, entry in enumerate(live["metadata"].get("managedFields") or []):
        applied = entry.get("manager") == manager and entry.get("operation") == "Apply"
        if applied and "f:replicas" in mapping(at(entry, "fieldsV1", "f:spec")):
            path = f"/metadata/managedFields/{number}/fieldsV1/f:spec/f:replicas"
            operations.append({"op": "remove", "path": path})
    return operations


def storage_of(stateful_set: Manifest) -> tuple[str, str] | None:
    """The name of a StatefulSet's volume template, and the size that it requests, as a quantity.

    None when there is no such template: then the StatefulSet isn't one that the operator made.
    """
    for template in mappings(at(stateful_set, "spec", "volumeClaimTemplates"))[:1]:
        name = text(at(template, "metadata", "name"))
        size = text(at(template, "spec", "resources", "requests", "storage"))
        return (name, size) if name and size else None
    return None


def grows(wanted: Manifest, live: Manifest) -> bool:
    """Whether the volumes of a StatefulSet have to grow; the CRD's schema doesn't let them shrink."""
    new, old = storage_of(wanted), storage_of(live)
    return new is not None and old is not None and not same_quantity(new[1], old[1])
