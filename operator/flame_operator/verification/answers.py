"""Reads what a pod answers to MCP calls. Pure; bounds what is parsed, so that no answer costs much."""

import json
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


def result(body: bytes, call: int) -> dict[str, Any]:
    """The result of a JSON-RPC call, from a body that is one message.

    Raises:
        Failure: It isn't a result; the text tells why.
    """
    found = _result_of(parsed(body), call)
    if found is None:
        raise Failure(_NOT_MCP)
    return found


def _result_of(message: object, call: int) -> dict[str, Any] | None:
    """The result in a message; None when the message is another one.

    Raises:
        Failure: The message is the call's error.
    """
    if not isinstance(message, dict) or message.get("id") != call:
        return None
    error, found = message.get("error"), message.get("result")
    if isinstance(error, dict):
        text = plain(error.get("message"), MAX_EXCERPT)
        raise Failure(f"the server reports the error '{text or 'no message'}'")
    return found if isinstance(found, dict) else None


class Events:
    """Looks for the result of a call in a stream of server-sent events, where other messages may come first.

    It keeps the data of an unfinished event only, and of all events the first that is the call's answer.

    Args:
        call: The number of the call.
    """

    def __init__(self, call: int) -> None:
        self._call = call
        self._line = bytearray()
        self._data: list[bytes] = []
        self._after_cr = False
        self._line_ends = self._values = 0
        self._result: dict[str, Any] | None = None

    def feed(self, piece: bytes) -> bool:
        """Read on; returns whether the result is there, so that nothing more has to be read.

        Raises:
            Failure: The answer is an error, or the stream has too many lines or values.
        """
        self._count(piece)
        if self._after_cr and piece:
            piece = piece.removeprefix(b"\n")
        self._after_cr = piece.endswith(b"\r") if piece else self._after_cr
        for line in piece.splitlines(keepends=True):
            self._line += line
            if line.endswith((b"\n", b"\r")):
                self._take(bytes(self._line).rstrip(b"\r\n"))
                self._line.clear()
                if self._result is not None:
                    return True
        return False

    def result(self) -> dict[str, Any]:
        """The result of the call; the stream has ended or the result is there.

        Raises:
            Failure: There is none, or it is an error.
        """
        if self._result is None:
            self.feed(b"\n\n")  # a server that ends the stream may leave out the end of the last event
        if self._result is None:
            raise Failure(_NOT_MCP)
        return self._result

    def _count(self, piece: bytes) -> None:
        self._line_ends += piece.count(b"\n") + piece.count(b"\r")
        if self._line_ends > 2 * MAX_EVENT_LINES:
            raise Failure(
                f"the server's answer has more than {MAX_EVENT_LINES:,} lines of events", overrun=True
            )
        # Bounds the events together, as each is parsed by itself.
        self._values += sum(map(piece.count, (b",", b"{", b"[")))
        if self._values > 2 * MAX_VALUES:
            raise Failure(f"the server's answer has more than {MAX_VALUES:,} values", overrun=True)

    def _take(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._data.append(line.removeprefix(b"data:"))
        elif not line and self._data:
            data, self._data = b"\n".join(self._data), []
            self._result = _result_of(parsed(data), self._call)


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
