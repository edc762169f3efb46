import json
from typing import Any

import pytest

from flame_operator.api.reading import Line
from flame_operator.errors import Unavailable
from flame_operator.informer.events import Head, Other, body_of, head_of, other_of
from flame_operator.resource.kinds import Key

HEAD = Head("MODIFIED", Key("team", "docs"), 7)


def event(**metadata: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    kind = {"kind": "ConfigMap", "apiVersion": "v1"}
    return {"type": "MODIFIED", "object": {**kind, "metadata": metadata}}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("generated", [{}, {"generateName": "do"}])
def test_the_beginning_of_a_line_tells_what_it_is_about(
    separators: tuple[str, str], generated: dict[str, str]
) -> None:
    found = event(name="docs", **generated, namespace="team", uid="1-a", resourceVersion="7", labels={})
    assert head_of(json.dumps(found, separators=separators).encode()) == HEAD


def test_names_elsewhere_in_an_object_do_not_count() -> None:
    inner = '{"type":"MODIFIED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"docs",'
    found = event(labels={"x": inner}, name="docs", namespace="team", uid="1", resourceVersion="7")
    text = json.dumps(found, separators=(",", ":")).encode()
    assert head_of(text) is None
    assert other_of(Line(text, whole=True)) == HEAD
    assert other_of(Line(text[:100], whole=False)) is None


def test_other_events_are_parsed() -> None:
    line = Line(b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}', whole=True)
    assert head_of(line.text) is None
    assert other_of(line) == Other("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    assert body_of(line)["metadata"] == {"resourceVersion": "9"}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"type":"ADDED"}', '{"type":"ADDED","object":{}}', "[" * 9999]
)
def test_what_is_no_event_breaks_the_watch(text: str) -> None:
    with pytest.raises(Unavailable):
        other_of(Line(text.encode(), whole=True))
