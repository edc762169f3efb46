"""Reads answers and streams in bounded pieces, so that their size never decides how much memory they take."""

import json
import re
from collections.abc import AsyncIterable, Iterator
from typing import Any, NamedTuple

from flame_operator.api.paging import PAGE_BYTES
from flame_operator.errors import TooLarge
from flame_operator.resource.kinds import Manifest

LINE_BYTES = 64 * 1024
"""The longest line of a stream that is kept whole; an event about a common child has 2 to 15 kB."""
HEAD_BYTES = 4096
"""How much of a longer line is kept: enough for the kind, the names and the version of an object."""

NAMES = (
    rb'\s*"name":\s*"(?P<name>[-.\w:]+)",(?:\s*"generateName":\s*"[-.\w]*",)?'
    rb'\s*"namespace":\s*"(?P<namespace>[-\w]+)",(?:\s*"selfLink":\s*"[^"\\]*",)?'
    rb'\s*"uid":\s*"(?P<uid>[-\w]+)",\s*"resourceVersion":\s*"(?P<version>\d+)"'
)
"""How the metadata of every object of a built-in kind begins.

The API server writes fields in this order, and names and versions need no escapes.
"""
_ONE_ITEM = re.compile(
    rb'\{"kind":"\w+","apiVersion":"[\w./]+","metadata":\{(?:"selfLink":"",)?"resourceVersion":"(?P<list>\d+)"'
    rb'(?:,"continue":"(?P<continue>[-\w=]+)")?(?:,"remainingItemCount":\d+)?\},"items":\[\{'
    rb'(?:"kind":"\w+","apiVersion":"[\w./]+",)?"metadata":\{' + NAMES
)


class Line(NamedTuple):
    """One line of a stream, without its end; when it isn't `whole`, only its first `HEAD_BYTES` bytes."""

    text: bytes
    whole: bool


class Lines:
    """Cuts a stream into lines, and keeps no more of it than one line."""

    def __init__(self, longest: int = LINE_BYTES) -> None:
        self._longest = longest
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that end in the next piece of the stream. Empty lines are left out."""
        first, *others = chunk.split(b"\n")
        self._add(first)
        for part in others:
            if self._size:
                text = b"".join(self._parts)
                whole = self._size <= self._longest
                yield Line(text if whole else text[:HEAD_BYTES], whole)
            self._parts, self._size = [], 0
            self._add(part)

    def _add(self, part: bytes) -> None:
        before, self._size = self._size, self._size + len(part)
        if self._size <= self._longest:
            if part:
                self._parts.append(part)
        elif before <= self._longest:
            self._parts = [b"".join((*self._parts, part))[:HEAD_BYTES]]


async def read_at_most(chunks: AsyncIterable[bytes], most: int, what: str) -> bytes:
    """The whole of an answer.

    Args:
        chunks: The answer, piece by piece.
        most: How many bytes it may have.
        what: The request, for the error's message.

    Raises:
        TooLarge: It has more bytes; the rest isn't read.
    """
    parts, size = [], 0
    async for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise TooLarge(f"{what}: the answer has more than {most} bytes, which the operator doesn't read")
        parts.append(chunk)
    return b"".join(parts)


def parsed(text: bytes) -> Manifest:
    """The object in an answer; for anything else, its beginning as a message."""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        found = None  # for example the HTML page of a proxy
    return found if isinstance(found, dict) else {"message": text[:200].decode(errors="replace")}


def parsed_item(text: bytes) -> Manifest:
    """A page of a list with a single object; of a large one only what its beginning tells.

    Parsing 1 MB may take longer than everything else can wait, and an object of that size is nobody's child.
    """
    found = _ONE_ITEM.match(text) if len(text) > PAGE_BYTES else None
    if found is None:
        return parsed(text)
    metadata = {
        "name": found["name"].decode(),
        "namespace": found["namespace"].decode(),
        "uid": found["uid"].decode(),
        "resourceVersion": found["version"].decode(),
    }
    page = {"resourceVersion": found["list"].decode(), "continue": (found["continue"] or b"").decode()}
    return {"metadata": page, "items": [{"kind": "PartialObjectMetadata", "metadata": metadata}]}
