"""JSON that nobody has foreseen, and live objects of which parts have been replaced by it."""
# ruff: noqa: ANN401 - JSON

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from flame_operator.resource.kinds import Manifest

HUGE = [-1, 0, 1, 2**31 - 1, 2**31, 2**63, 10**400, -(10**400), True, 0.5, -0.0, 1e308]
WORDS = [
    "", "abc", "Europe", "True", "Failed", "Complete", "-1", "9" * 400, "x" * 5000, "[" * 4000, "a\nb\x1b[1m",
    "\ud800", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "../..", "1e999", "{}", '{"error": []}',
]  # fmt: skip
values = st.recursive(
    st.none() | st.sampled_from(HUGE) | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "status", "name", "state", "conditions"]), inner, max_size=2
        )
    ),
    max_leaves=6,
)
messages = st.one_of(
    st.sampled_from(
        ["[" * 4000, '{"a":' * 2000, "9" * 4000, '{"documents": ' + "9" * 4000 + "}", "\x00", "NaN"]
    ),
    values.map(lambda value: json.dumps(value, allow_nan=True)),
    st.dictionaries(
        st.sampled_from(["error", "documents", "chunks", "skipped", "collection", "sourceRevision"]),
        values | st.dictionaries(st.sampled_from(["kind", "message", "step"]), values, max_size=3),
        max_size=4,
    ).map(json.dumps),
)
"""What a container may leave behind as its last message."""

HEAD = {"apiVersion", "kind", "metadata", "spec"}
"""Fields that every object has, because the API server sees to it."""


@st.composite
def corrupted(draw: st.DrawFn, body: Manifest) -> Manifest:
    """A copy of an object in which something has another type, or is missing."""
    found = copy.deepcopy(body)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(found))
        # Most readers look near the top, and most places are far below it.
        near = [place for place in places if place[0] is found or place[0] is found.get("status")]
        holder, name = draw(st.sampled_from(near or places) | st.sampled_from(places))
        if draw(st.booleans()) or isinstance(holder, list):
            holder[name] = draw(values)
        else:
            del holder[name]
    return found


def _places(body: Manifest) -> Iterator[tuple[Any, Any]]:
    """All places in an object that somebody may have written: a map or list, and a key or index in it."""
    yield from ((body, name) for name in body if name not in HEAD)
    for part in ("annotations", "labels"):
        yield from ((body["metadata"][part], name) for name in body["metadata"].get(part) or {})
    if "annotations" in body["metadata"]:
        yield body["metadata"], "annotations"
    for name, value in body.items():
        if name not in HEAD or name == "spec":
            yield from _within(value)


def _within(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in list(items):
        yield value, name
        yield from _within(inner)
