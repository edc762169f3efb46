"""Turns an API object into a typed `Server`, the operator's model of one FlameMCPServer."""

import re
from dataclasses import dataclass

from pydantic import ValidationError

from flame_operator.errors import InvalidSpec
from flame_operator.resource.kinds import Key, Manifest, is_whole, key_of
from flame_operator.resource.spec.server_spec import ServerSpec

DEFAULT_REPLICAS = 2


@dataclass(frozen=True)
class Server:
    """One FlameMCPServer resource: its metadata and its spec."""

    key: Key
    uid: str
    generation: int
    labels: dict[str, str]
    annotations: dict[str, str]
    created: str
    """When the resource was created, RFC 3339 in UTC; empty when it isn't in a cluster."""
    spec: ServerSpec


# As in the CRD. Children have the same name, and a Service has the strictest rules for names.
_SERVER_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?")


def parse_server(body: Manifest, *, forbid_unknown: bool = False) -> Server:
    """Parse a FlameMCPServer as the API server sends it.

    Args:
        body: The whole object.
        forbid_unknown: Whether to refuse fields that the model doesn't have, as tests and `render` want.

    Raises:
        InvalidSpec: The name or the spec isn't valid; the message names each field at fault.
    """
    metadata = body["metadata"]
    if not _SERVER_NAME.fullmatch(metadata["name"]):
        raise InvalidSpec(
            "metadata.name must be a DNS label that starts with a letter and has at most 40 characters"
        )
    if not is_whole(body):
        raise InvalidSpec("it is too large, or those of its namespace are together; make it smaller")
    try:
        spec = ServerSpec.model_validate(
            body.get("spec") or {},
            by_alias=True,
            by_name=False,
            extra="forbid" if forbid_unknown else "ignore",
        )
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, ('spec', *detail['loc'])))}: {detail['msg']}"
            for detail in error.errors(include_url=False, include_input=False)
        )
        raise InvalidSpec(found) from error
    return Server(
        key=key_of(body),
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 0),
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        created=metadata.get("creationTimestamp") or "",
        spec=spec,
    )
