"""Parses of answers only what the operator reads: no Python object is made of the rest. Pure.

Tenants decide how large an object is. Parsed whole, one of 1.3 MB holds the event loop for up to 100 ms and
takes many times its size in memory; what is read here takes up to 13 ms, whatever the rest holds.
"""

import re
from collections.abc import Callable

from pydantic_core import CoreSchema, SchemaValidator, ValidationError
from pydantic_core import core_schema as schema

from flame_operator.api.paging import PAGE_BYTES
from flame_operator.api.reading import parsed, parsed_item
from flame_operator.resource.kinds import INSTANCE, Manifest

_ALL = schema.any_schema()
_NAMES = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_MANAGED_FIELDS = re.compile(
    rb'"managedFields":\[.*?\],(?="name":")|,"managedFields":\[.*?\](?=\})', re.DOTALL
)
"""The managed fields of custom resources, whose fields are sorted, and of others, where they come last.

There is no other array in them. What is cut off at a wrong place is no JSON any more.
"""


def _fields(*names: str, **parts: CoreSchema) -> CoreSchema:
    """An object of which these fields are read whole, and of these parts what their schemas say."""
    fields = {**dict.fromkeys(names, _ALL), **parts}
    return schema.typed_dict_schema(
        {name: schema.typed_dict_field(part, required=False) for name, part in fields.items()}
    )


def _list(part: CoreSchema) -> CoreSchema:
    return schema.nullable_schema(schema.list_schema(part))


def _parser(part: CoreSchema) -> Callable[[bytes], Manifest]:
    validator = SchemaValidator(part)

    def attempt(text: bytes) -> Manifest | None:
        try:
            found: Manifest = validator.validate_json(text)
        except ValidationError:
            return None
        return found

    def parse(text: bytes) -> Manifest:
        # pydantic takes 200 levels, and the API server 10,000: in `managedFields`, which nobody here reads.
        found = attempt(text)
        if found is None:
            found = attempt(_MANAGED_FIELDS.sub(b"", text))
        return parsed(text) if found is None else found

    return parse


def _page(item: CoreSchema) -> CoreSchema:
    return _fields("apiVersion", "kind", metadata=_fields("resourceVersion", "continue"), items=_list(item))


_SERVER = _fields(
    "apiVersion", "kind", "spec", "status", metadata=_fields(*_NAMES, "generation", "annotations")
)
_POD = _fields(
    metadata=_fields(*_NAMES),
    status=_fields("phase", "conditions", "initContainerStatuses", "containerStatuses"),
)
_EVENT = _fields("reason", "message", "lastTimestamp", "eventTime", "series")
_LABELS = schema.nullable_schema(_fields(INSTANCE))
_pods = _parser(_page(_POD))

server = _parser(_SERVER)
"""A FlameMCPServer: its spec and status, and of its metadata what the cache keeps."""
servers = _parser(_page(_SERVER))
"""A page of FlameMCPServers."""
server_event = _parser(_fields("type", object=_SERVER))
"""An event about a FlameMCPServer."""
events = _parser(_page(_EVENT))
"""A page of Kubernetes Events: what happened and when."""
metadata = _parser(_fields(metadata=_fields(*_NAMES, "ownerReferences", labels=_LABELS)))
"""Who an object is and whose."""
nothing = _parser(_fields())
"""Nothing: what counts is that the answer is no error."""


def pods(text: bytes) -> Manifest:
    """A page of pods: who they are, and how they are.

    A page of a single pod may be large. Of that only who the pod is is read.
    """
    return _pods(text) if len(text) <= PAGE_BYTES else parsed_item(text)
