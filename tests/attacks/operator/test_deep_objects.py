"""Of attack 2's kind: the API server takes objects of 10,000 levels, in `managedFields` for example."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from flame_operator.api import selected
from tests.support.slowness import slowness

PROGRAM = """
import sys
from flame_operator.api.reading import parsed
from flame_operator.commands.run import MOST_LEVELS

sys.setrecursionlimit(MOST_LEVELS)
text = b'{"metadata": ' + b'{"f:a":' * 9_990 + b"{}" + b"}" * 9_991
assert "metadata" in parsed(text)
"""
CHAINS = ",".join(f'"f:{n}":' + '{"f:a":' * 250 + "{}" + "}" * 250 for n in range(600))
DEEP = '"managedFields":[{"fieldsV1":{"f:]":' + '{"f:a":' * 9_000 + "{}" + "}" * 9_000 + "," + CHAINS + "}}]"


def test_a_list_with_an_object_of_ten_thousand_levels_is_read() -> None:
    """One such object, which anybody may create, ended every list and every watch, for all tenants."""
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=30)


@pytest.mark.parametrize("kind", ["custom", "built in"])
def test_what_is_read_of_a_large_and_deep_object(kind: str) -> None:
    """Such an object of 1.3 MB: what nobody reads is cut off, where pydantic's parser takes 200 levels."""
    names = '"name":"docs","namespace":"team"'
    metadata = f"{DEEP},{names}" if kind == "custom" else f"{names},{DEEP}"
    text = ('{"metadata":{' + metadata + '},"spec":{"x":1}}').encode()
    page = b'{"items":[' + text + b"," + text + b'],"metadata":{"continue":"x"}}'
    begun = time.thread_time()
    found = selected.server(text)
    took = time.thread_time() - begun
    assert took < 0.05 * slowness()
    who = {"name": "docs", "namespace": "team"}
    assert found == {"metadata": who, "spec": {"x": 1}}
    assert selected.servers(page) == {"items": [found, found], "metadata": {"continue": "x"}}
    assert selected.metadata(text) == {"metadata": who}


def test_an_object_that_is_deep_elsewhere_is_read_whole() -> None:
    """Kind of it: 300 levels at a place that only Python's parser comes past."""
    text = '{"metadata":{"name":"docs","x":' + "[" * 300 + "]" * 300 + "}}"
    assert selected.server(text.encode()) == json.loads(text)


def test_managed_fields_that_pretend_to_end_early() -> None:
    """Kind of it: what is cut off at a wrong place is no JSON, so that nobody takes another's name."""
    deep = "[" * 300 + "]" * 300
    fields = '{"fieldsV1":{"x":[' + deep + '],"name":"victim","namespace":"other"}}'
    text = '{"metadata":{"managedFields":[' + fields + '],"name":"docs","namespace":"team"},"spec":{}}'
    assert selected.server(text.encode()) == json.loads(text)
