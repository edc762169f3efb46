"""Reads what a pod answers to MCP calls. Pure; bounds what is parsed, so that no answer costs much."""

import json
from collections.abc import Iterator
from typing import Any

from flame_operator.formats.text import plain
from flame_operator.verification.verdict import MAX_EXCERPT, Failure

MAX_VALUES = 16_384
"""How many values an answer may have, give or take: its commas are counted, and so are its brackets.

Parsed, small objects take a hundred times their size.
"""
MAX_EVENT_LINES = 1024
"""How many lines a stream of events may have."""

_NOT_MCP = "the server's answer isn't MCP"


def parsed(text: bytes) -> object:
    """The value of a JSON text; None when it isn't JSON or too deep.

    Raises:
        Failure: It has too many values to be parsed.
    """
    if text.count(b",") > MAX_VALUES:
        raise Failure(f"the server's answer has more than {MAX_VALUES:,} values", overrun=True)
    if text.count(b"{") + text.count(b"[") > MAX_VALUES:
        raise Failure(_NOT_MCP, overrun=True)
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found


def result(body: bytes, call: int, *, is_stream: bool) -> dict[str, Any]:
    """The result of a JSON-RPC call.

    Args:
        body: The answer.
        call: The number of the call.
        is_stream: Whether the answer is a stream of server-sent events, where other messages may come first.

    Raises:
        Failure: The answer isn't a result; the text tells why.
    """
    for message in map(parsed, _events(body) if is_stream else [body]):
        if not isinstance(message, dict) or message.get("id") != call:
            continue
        error, found = message.get("error"), message.get("result")
        if isinstance(error, dict):
            text = plain(error.get("message"), MAX_EXCERPT)
            raise Failure(f"the server reports the error '{text or 'no message'}'")
        if isinstance(found, dict):
            return found
    raise Failure(_NOT_MCP)


def count_results(answer: dict[str, Any]) -> int:
    """The number of results in the answer to a tool call.

    Raises:
        Failure: It is an error, or there are no results.
    """
    if answer.get("isError"):
        content = answer.get("content")
        first = content[0] if isinstance(content, list) and content else None
        text = plain(first.get("text") if isinstance(first, dict) else None, MAX_EXCERPT)
        raise Failure(f"the tool reports the error '{text or 'no message'}'")
    structured = answer.get("structuredContent")
    results = structured.get("results") if isinstance(structured, dict) else None
    if not isinstance(results, list):
        raise Failure("the tool returns no structured results")
    return len(results)


def _events(stream: bytes) -> Iterator[bytes]:
    """The data of each server-sent event in a stream."""
    if stream.count(b"\n") + stream.count(b"\r") > 2 * MAX_EVENT_LINES:
        raise Failure(f"the server's answer has more than {MAX_EVENT_LINES:,} lines of events", overrun=True)
    if sum(map(stream.count, (b",", b"{", b"["))) > 2 * MAX_VALUES:
        # Bounds the events together, as each is parsed by itself.
        raise Failure(f"the server's answer has more than {MAX_VALUES:,} values", overrun=True)
    lines: list[bytes] = []
    for line in [*stream.splitlines(), b""]:
        if line.startswith(b"data:"):
            lines.append(line.removeprefix(b"data:"))
        elif not line and lines:
            yield b"\n".join(lines)
            lines = []
