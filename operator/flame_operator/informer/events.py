"""Reads the events of a watch from its lines. Pure.

Which object an event is about is read from the beginning of its line, without parsing the rest: an object
that nobody here wants to know costs as good as nothing, however large it is.
"""

import json
import re
from typing import Literal, NamedTuple, cast

from flame_operator.api.reading import NAMES, Line
from flame_operator.errors import Unavailable
from flame_operator.resource.kinds import Key, Manifest

Type = Literal["ADDED", "MODIFIED", "DELETED"]

_HEAD = re.compile(
    rb'\{\s*"type":\s*"(?P<type>ADDED|MODIFIED|DELETED)",\s*"object":\s*\{'
    rb'\s*"kind":\s*"\w+",\s*"apiVersion":\s*"[\w./]+",\s*"metadata":\s*\{' + NAMES
)


class Head(NamedTuple):
    """What an event is about: its type, and the object's key and version."""

    type: Type
    key: Key
    version: int


class Other(NamedTuple):
    """An event that is about no object: a `BOOKMARK` or an `ERROR`."""

    type: str
    body: Manifest


def head_of(text: bytes) -> Head | None:
    """What an event is about; None when the beginning of its line doesn't tell."""
    found = _HEAD.match(text)
    if found is None:
        return None
    key = Key(found["namespace"].decode(), found["name"].decode())
    return Head(cast("Type", found["type"].decode()), key, int(found["version"]))


def body_of(line: Line) -> Manifest:
    """The object of an event.

    Raises:
        Unavailable: The line isn't an event.
    """
    return _event(line)["object"]  # type: ignore[no-any-return]  # checked there


def other_of(line: Line) -> Other | Head | None:
    """What is in an event whose beginning doesn't tell; None when it is cut off.

    Raises:
        Unavailable: The line isn't an event.
    """
    if not line.whole:
        return None
    event = _event(line)
    metadata = event["object"].get("metadata") or {}
    if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
        try:
            key = Key(metadata["namespace"], metadata["name"])
            return Head(event["type"], key, int(metadata["resourceVersion"]))
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable("the watch sent an object without a name") from error
    return Other(event["type"], event["object"])


def _event(line: Line) -> Manifest:
    try:
        event = json.loads(line.text)
    except (ValueError, RecursionError) as error:
        raise Unavailable("the watch sent something that isn't JSON") from error
    if not isinstance(event, dict) or not isinstance(event.get("object"), dict):
        raise Unavailable("the watch sent something that isn't an event")
    return {"type": str(event.get("type")), "object": event["object"]}
