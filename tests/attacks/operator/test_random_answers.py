"""Attacks 4 and 27 at random: whatever bytes a server sends in whatever pieces, a check has a verdict."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flame_operator.verification.verdict import Verdict
from flame_operator.verification.wire import MAX_BYTES, READ_BYTES
from tests.support.operator.scripted_pod import Said, check_of, split
from tests.support.slowness import slowness

RESULTS: list[dict[str, Any]] = [
    {"protocolVersion": "2025-11-25", "serverInfo": {"name": "flame-mcp", "version": "1"}},
    {"tools": [{"name": "get_flame_knowledge"}]},
    {"structuredContent": {"results": [{}]}},
]
READY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
PIECES = [
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 429 x\r\n",
    b"Content-Length: 2\r\n", b"Content-Length: 2, 2\r\n", b"Content-Length: 99999\r\n",
    b"Connection: close\r\n",    b"Transfer-Encoding: chunked\r\n", b"Content-Type: text/event-stream\r\n",
    b"X: y\r\n", b" folded\r\n",
    b"Content-Type: application/json\r\n", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"5\r\nhello\r\n", b"4000\r\n",
    b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"{}", b'{"id":1,"result":{}}', b'{"id":true,"error":{"message":[]}}',
    b"data: ", b"data:\r", b'data: {"id":1,"result":{"tools":[{}]}}\n\n', b"\xef\xbb\xbf", b"\x00", b":",
    b" ",    b"A" * 20_000, b"[" * 5000, b"{\"a\":" * 3000, b"1," * 9000, b"data:\n" * 600, b" " * 70_000,
    b"\\u0041" * 900,    b"9" * 5000, b"X: y\r\n" * 100, b"1\r\n \r\n" * 500, b'data: {"id":2}\r\r' * 100,
]  # fmt: skip
SIZES = st.lists(st.sampled_from([1, 2, 3, 7, 100, 4096, 20_000, 500_000]), min_size=1, max_size=4)
JUNK = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=30)), max_size=12).map(b"".join)


def checked(*answers: Said, auth: str = "None") -> Verdict:
    """The verdict of a check that keeps to its bounds; a busy machine gets a second and a third try."""
    found = [check_of(*answers, auth=auth)]
    while found[-1].slowest >= 0.05 and len(found) < 3:
        found.append(check_of(*answers, auth=auth))
    assert found[-1].held <= MAX_BYTES + READ_BYTES
    assert found[-1].slowest < 0.05 * slowness()
    return found[-1].verdict


@st.composite
def said(draw: st.DrawFn) -> Said:
    """Junk, often behind the beginning of an answer."""
    head = draw(st.sampled_from([b"", PIECES[0], PIECES[0] + PIECES[8] + b"\r\n", READY]))
    sizes = draw(SIZES)
    data = head + draw(JUNK)
    # A piece of one byte each costs a turn of the loop: only the beginning is cut so small.
    return Said([*split(data[:3000], sizes), *split(data[3000:], [max(*sizes, 1000)])], draw(st.booleans()))


@settings(max_examples=250, deadline=None)
@given(answers=st.lists(said(), max_size=5), is_ready=st.booleans(), auth=st.sampled_from(["None", "Bearer"]))
def test_any_bytes_in_any_pieces_end_in_a_verdict(answers: list[Said], is_ready: bool, auth: str) -> None:
    """Never another exception, never more than 512 KiB and one read, never 50 ms of the event loop."""
    before = [Said([READY], False)] if is_ready else []
    checked(*before, *answers, auth=auth)


@st.composite
def honest(draw: st.DrawFn) -> list[Said]:
    """The four honest answers, framed in any way that RFC 9112 and the event streams' standard allow."""
    answers = [b"{}"]
    kinds = [b"application/json"]
    keeps_open = [False]
    for call, result in enumerate(RESULTS, 1):
        message = json.dumps({"jsonrpc": "2.0", "id": call, "result": result}).encode()
        is_stream = draw(st.booleans())
        kinds.append(b"text/event-stream; charset=utf-8" if is_stream else b"application/json")
        keeps_open.append(is_stream and draw(st.booleans()))
        if is_stream:
            end = draw(st.sampled_from([b"\n", b"\r", b"\r\n"]))
            first = draw(
                st.sampled_from([b": hello", b"", b"id: 7", b'data: {"method":"x","id":9}', b"data"])
            )
            lines = [first, b"", b"event: message", b"data: " + message, b"", b""]
            message = end.join(lines)
        answers.append(message)
    return [_framed(draw, *one) for one in zip(answers, kinds, keeps_open, strict=True)]


def _framed(draw: st.DrawFn, body: bytes, kind: bytes, keeps_open: bool) -> Said:
    framing = draw(
        st.sampled_from(["chunks", "the end"] if keeps_open else ["length", "lengths", "chunks", "the end"])
    )
    end = draw(st.sampled_from([b"\r\n", b"\n"]))
    informs = draw(st.sampled_from([b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]))
    lines = [b"HTTP/1.1 200" + draw(st.sampled_from([b"", b" ", b" OK"])), b"CONTENT-TYPE:" + kind]
    lines += draw(st.sampled_from([[], [b"X: y", b"\tfolded"], [b"Server:", b"Server: twice"]]))
    if framing == "length":
        lines.append(b"Content-Length: %d " % len(body))
    elif framing == "lengths":
        lines += [b"Content-Length: %d" % len(body), b"Content-length: %d, %d" % (len(body), len(body))]
    elif framing == "chunks":
        lines.append(b"Transfer-Encoding: Chunked")
        pieces = split(body, draw(st.lists(st.integers(1, 50), min_size=1, max_size=3)))
        body = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        body += b"" if keeps_open else b"0\r\nTrailer: x\r\n\r\n"
    data = informs + end.join([*lines, b"", b""]) + body
    # Not byte by byte: after 64 reads a check reads only 20 times a second.
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    pieces = [data[begin:stop] for begin, stop in pairwise([0, *cuts, len(data)])]
    closes = framing == "the end" and not keeps_open
    return Said(pieces, closes)


@settings(max_examples=250, deadline=None)
@given(answers=honest())
def test_honest_answers_in_any_framing_and_pieces_are_understood(answers: list[Said]) -> None:
    """Lengths that are repeated but equal, folded headers, any ends of lines, streams that stay open."""
    verdict = checked(*answers)
    assert verdict.ok, verdict.message


def test_a_large_event_in_small_pieces_does_not_hold_the_loop() -> None:
    text = json.dumps({"id": 1, "result": {"x": ["y" * 50] * 200}}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: "
    checked(Said([READY], False), Said(split(head + text, [3]), False))


def test_a_stream_that_stays_open_is_left_and_the_next_request_has_a_new_connection() -> None:
    """Whatever such a server sends later is no answer to the next request."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    messages = [json.dumps({"id": call, "result": result}).encode() for call, result in enumerate(RESULTS, 1)]
    streams = [Said([head + b"data: " + message + b"\n\n"], False) for message in messages]
    found = check_of(Said([READY], False), *streams)
    assert found.verdict.ok
    assert found.connections == 3
