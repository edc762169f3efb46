import json
from collections.abc import AsyncIterator

import pytest

from flame_operator.api.paging import PAGE, PAGE_BYTES, next_limit, smaller_limit
from flame_operator.api.reading import HEAD_BYTES, Lines, parsed, parsed_item, read_at_most
from flame_operator.errors import TooLarge


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_lines_are_found_however_the_stream_is_cut(size: int) -> None:
    text, lines = b"one\n\ntwo and more\nthree\nlost", Lines()
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    found = [line for piece in pieces for line in lines.feed(piece)]
    assert [line.text for line in found] == [b"one", b"two and more", b"three"]
    assert all(line.whole for line in found)


@pytest.mark.parametrize("size", [1000, 5000, 10**6])
def test_of_a_long_line_only_the_beginning_is_kept(size: int) -> None:
    text, lines = b"a" * 20_000 + b"\nb\n", Lines(longest=10_000)
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    found = [line for piece in pieces for line in lines.feed(piece)]
    assert found == [(b"a" * HEAD_BYTES, False), (b"b", True)]


async def test_an_answer_is_read_up_to_its_bound() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"abc"

    assert await read_at_most(chunks(), 9, "GET /x") == b"abcabcabc"
    with pytest.raises(TooLarge, match="GET /x: the answer has more than 8 bytes"):
        await read_at_most(chunks(), 8, "GET /x")


@pytest.mark.parametrize("text", [b"<html>", b"[1]", b"[" * 100_000])
def test_what_is_no_object_becomes_a_message(text: bytes) -> None:
    assert parsed(text) == {"message": text[:200].decode()}


def page(size: int) -> bytes:
    metadata = {"name": "docs", "namespace": "team", "uid": "1-a", "resourceVersion": "7", "x": "x" * size}
    body = {
        "kind": "ServiceList",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": "9", "continue": "next", "remainingItemCount": 3},
        "items": [{"metadata": metadata, "spec": {}}],
    }
    return json.dumps(body, separators=(",", ":")).encode()


def test_of_a_large_object_in_a_list_only_who_it_is_is_read() -> None:
    assert parsed_item(page(10)) == json.loads(page(10))
    found = parsed_item(page(PAGE_BYTES))
    names = {"name": "docs", "namespace": "team", "uid": "1-a", "resourceVersion": "7"}
    assert found["items"] == [{"kind": "PartialObjectMetadata", "metadata": names}]
    assert found["metadata"] == {"resourceVersion": "9", "continue": "next"}


def test_pages_shrink_and_grow_with_their_size() -> None:
    limits = [PAGE]
    while limits[-1] > 1:
        limits.append(smaller_limit(limits[-1]))
    assert limits == [250, 62, 15, 3, 1]
    assert next_limit(1, PAGE_BYTES) == 1
    assert next_limit(1, 1000) == 4
    assert next_limit(200, 1000) == PAGE
