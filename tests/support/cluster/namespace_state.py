"""All objects of the servers in a namespace, masked so that two runs can be compared."""

import asyncio
import difflib
import json
import re
from typing import Any

from flame_operator.resource.kinds import CHILD_KINDS, MANAGER, SECRET, SERVER, Kind
from tests.harness.client import ApiError, Client

Json = dict[str, Any]

_MASKS = {
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": "UID",
    r"\b[0-9a-f]{32,64}\b": "HASH",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z": "TIME",
}
# Given by the API server, or kept by controllers in their own time.
_DROPPED = {"metadata": {"uid", "resourceVersion", "creationTimestamp", "selfLink"}}
_ALLOCATED = {"clusterIP", "clusterIPs", "nodePort", "healthCheckNodePort"}


async def state(client: Client, namespace: str) -> Json:
    """All servers and objects with the names of children, by `Kind name`, comparable between namespaces.

    Statuses are those of the servers; that of a child is its controller's. Of the managed fields there is
    what the operator owns. A generated Secret's data is masked.
    """
    found: Json = {}
    servers = await items(client, SERVER, namespace)
    names = {body["metadata"]["name"] for body in servers}
    for body in servers:
        found[f"{SERVER.kind} {body['metadata']['name']}"] = _comparable(body, namespace)
    lists = await asyncio.gather(*(items(client, kind, namespace) for kind in CHILD_KINDS))
    for kind, bodies in zip(CHILD_KINDS, lists, strict=True):
        for body in bodies:
            ours = body["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == MANAGER
            if ours or body["metadata"]["name"] in names:
                body.pop("status", None)
                found[f"{kind.kind} {body['metadata']['name']}"] = _comparable(body, namespace)
    return found


def difference(wanted: Json, found: Json) -> str:
    """The lines in which two states differ; empty when they don't."""
    one, other = (json.dumps(state, indent=1, sort_keys=True).splitlines() for state in (wanted, found))
    return "\n".join(difflib.unified_diff(one, other, "wanted", "found", lineterm="", n=4))


async def items(client: Client, kind: Kind, namespace: str) -> list[Json]:
    """The objects of a kind; none where the cluster hasn't got the kind."""
    try:
        return await client.items(kind.path(namespace))
    except ApiError as error:
        if error.status == 404:
            return []
        raise


async def tokens(client: Client, namespace: str) -> dict[str, Json]:
    """The data of the Secrets that the operator made, by name."""
    found = await items(client, SECRET, namespace)
    return {
        body["metadata"]["name"]: body.get("data", {})
        for body in found
        if body["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == MANAGER
    }


def _comparable(body: Json, namespace: str) -> Json:
    metadata = {name: value for name, value in body["metadata"].items() if name not in _DROPPED["metadata"]}
    metadata["managedFields"] = sorted(
        (
            {name: entry[name] for name in ("manager", "operation", "fieldsV1")}
            for entry in body["metadata"].get("managedFields", [])
            if entry["manager"].startswith(MANAGER)
        ),
        key=lambda entry: entry["manager"],
    )
    data = {"data": dict.fromkeys(body["data"], "SECRET")} if body.get("type") == "Opaque" else {}
    text = json.dumps(_without(_ALLOCATED, {**body, **data, "metadata": metadata}))
    for pattern, mask in _MASKS.items():
        text = re.sub(pattern, mask, text)
    masked: Json = json.loads(text.replace(namespace, "NAMESPACE"))
    return masked


def _without(names: set[str], value: Any) -> Any:  # noqa: ANN401 - any JSON value
    match value:
        case dict():
            return {name: _without(names, item) for name, item in value.items() if name not in names}
        case list():
            return [_without(names, item) for item in value]
    return value
