"""Clients whose `Accept` header is missing, or names only one of the two forms of an answer."""

import json

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from flame_server.serving.edge.accept import Accept
from tests.support.server.asgi import fetch

ANSWER = {"jsonrpc": "2.0", "id": 1, "result": {"text": "two\nlines"}}


async def strict(scope: Scope, receive: Receive, send: Send) -> None:
    """As the library has it: without JSON in the header there is no answer."""
    accepted = Request(scope).headers.get("accept", "")
    takes = any(kind in accepted for kind in ("application/json", "application/*", "*/*"))
    answer: Response = JSONResponse(ANSWER) if takes else Response(status_code=406)
    await answer(scope, receive, send)


@pytest.mark.parametrize(
    "accept",
    [None, "", "application/json", "*/*", "application/*;q=0.5", "text/event-stream, application/json"],
)
async def test_whoever_takes_json_gets_it(accept: str | None) -> None:
    response = await fetch(
        Accept(strict), "POST", "/mcp", headers={} if accept is None else {"Accept": accept}
    )
    assert response.status_code == 200
    assert response.json() == ANSWER


@pytest.mark.parametrize("accept", ["text/event-stream", "Text/Event-Stream;q=1", "text/*"])
async def test_whoever_takes_only_streams_gets_one_event(accept: str) -> None:
    response = await fetch(Accept(strict), "POST", "/mcp", headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["content-length"] == str(len(response.content))
    head, data, *end = response.text.split("\n")
    assert (head, end) == ("event: message", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == ANSWER


@pytest.mark.parametrize(("path", "accept"), [("/mcp", "text/html"), ("/", "text/event-stream")])
async def test_other_wishes_and_other_paths_are_left_alone(path: str, accept: str) -> None:
    assert (await fetch(Accept(strict), "POST", path, headers={"Accept": accept})).status_code == 406


async def test_an_error_stays_as_it_is() -> None:
    async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"error": "x"}, 400)(scope, receive, send)

    response = await fetch(Accept(refuses), "POST", "/mcp", headers={"Accept": "text/event-stream"})
    assert (response.status_code, response.json()) == (400, {"error": "x"})
