"""Decides what the cache keeps of an object, whatever others put into it. Pure."""

import json

from flame_operator.resource.kinds import CONTENT_OMITTED, DEPLOYMENT, GROUP, INSTANCE, SERVER, Manifest
from flame_operator.resource.ownership import controller

LARGEST_TEXT = 256 * 1024
"""The most bytes of a child's JSON, without bookkeeping, that are kept; a common child has 1 to 4 kB."""
LONGEST_ANNOTATION = 256
"""How much is kept of the value of a server's annotation: as much as is read."""
MOST_ANNOTATIONS = 16
SCALED_BY_OTHERS = "scaledByOthers"
"""A mark that the cache adds to the metadata of Deployments, because it doesn't keep `managedFields`."""
BOOKKEEPING = ("managedFields", "resourceVersion")
_TYPE = ("apiVersion", "kind")
_OF_SERVERS = ("name", "namespace", "uid", "generation", "creationTimestamp", "deletionTimestamp")
_OF_RECORDS = ("name", "namespace", "uid", "deletionTimestamp")
_OF_OWNERS = ("apiVersion", "kind", "name", "uid", "controller")


def whole(body: Manifest) -> bytes | None:
    """The text to keep of a server, or of a child that is its server's; None when it is too large.

    Of a server's metadata only what the operator reads is kept; the CRD's schema bounds the rest.
    """
    metadata = _of_server(body) if body["kind"] == SERVER.kind else _of_child(body)
    text = _text({name: value for name, value in body.items() if name not in _TYPE} | {"metadata": metadata})
    return text if body["kind"] == SERVER.kind or len(text) <= LARGEST_TEXT else None


def record(body: Manifest, *, with_owner: bool) -> bytes:
    """The text to keep of an object whose content isn't: who it is, and whose.

    Args:
        body: The object.
        with_owner: Whether to keep its controller. Without one it counts as somebody else's.
    """
    metadata = {name: value for name, value in body["metadata"].items() if name in _OF_RECORDS}
    owner = controller(body)
    if owner is not None and with_owner:
        metadata["ownerReferences"] = [{name: owner[name] for name in _OF_OWNERS if name in owner}]
    instance = (body["metadata"].get("labels") or {}).get(INSTANCE)
    if instance is not None:
        metadata["labels"] = {INSTANCE: instance}
    return _text({"metadata": metadata | {CONTENT_OMITTED: True}})


def server_record(body: Manifest) -> bytes:
    """The text to keep of a server whose spec is too large: who it is, and its status."""
    return _text({"metadata": _of_server(body) | {CONTENT_OMITTED: True}, "status": body.get("status") or {}})


def _of_server(body: Manifest) -> Manifest:
    metadata = {name: value for name, value in body["metadata"].items() if name in _OF_SERVERS}
    ours = [
        (name, value[:LONGEST_ANNOTATION])
        for name, value in sorted((body["metadata"].get("annotations") or {}).items())
        if name.startswith(f"{GROUP}/")
    ]
    return metadata | ({"annotations": dict(ours[:MOST_ANNOTATIONS])} if ours else {})


def _of_child(body: Manifest) -> Manifest:
    metadata = {name: value for name, value in body["metadata"].items() if name not in BOOKKEEPING}
    return metadata | ({SCALED_BY_OTHERS: True} if scaled_by_others(body) else {})


def _text(slim: Manifest) -> bytes:
    return json.dumps(slim, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def scaled_by_others(body: Manifest) -> bool:
    """Whether somebody has set a Deployment's replicas through its scale subresource, as autoscalers do."""
    if body["kind"] != DEPLOYMENT.kind:
        return False
    return any(
        entry.get("subresource") == "scale" and "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        for entry in body["metadata"].get("managedFields") or ()
    )
