"""The page for people without a browser: its paths, its headers, and what the edge lets through to it."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp

import flame_server
from flame_server.credentials import Credentials
from flame_server.search.local import open_searcher
from flame_server.serving.app import create_server
from flame_server.serving.edge.replies import PAGE_PATHS
from flame_server.serving.edge.stack import with_edge
from flame_server.serving.metrics import Metrics
from flame_server.settings import Settings
from tests.support.server.asgi import count, edge, fetch

STATIC = Path(flame_server.__file__).parent / "serving" / "page" / "static"
KEY = Credentials(auth_token="s3cret")  # noqa: S106
CLOSED: dict[str, Any] = {"auth_type": "Bearer", "auth_token_file": "/the/token", "rate_limit_per_minute": 2}


def served(index: Path, metrics: Metrics | None = None, **values: object) -> ASGIApp:
    settings = Settings(embedding_type="None", **values)  # type: ignore[arg-type]
    app = create_server(open_searcher(index, "None"), settings).http_app(path="/mcp", stateless_http=True)
    return with_edge(app, settings, KEY, metrics or Metrics())


async def get(app: ASGIApp, path: str, **headers: str) -> httpx2.Response:
    return await fetch(app, "GET", path, headers=headers, content=b"")


@pytest.mark.parametrize(
    ("path", "kind"), [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")]
)
async def test_the_page_opens_without_a_token_and_without_end(
    lexical_index: Path, path: str, kind: str
) -> None:
    app = served(lexical_index, **CLOSED)
    for _ in range(3):
        response = await get(app, path)
        assert response.status_code == 200
    assert response.headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    policy = response.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert not any(word in line for line in policy for word in ("unsafe", "http", "*"))


async def test_the_page_tells_version_and_authentication_and_no_secret(lexical_index: Path) -> None:
    text = (await get(served(lexical_index, **CLOSED), "/")).text
    assert 'data-auth="Bearer"' in text
    assert "flame-mcp 0." in text
    assert "$" not in text
    assert "s3cret" not in text


async def test_switched_off_there_is_no_page(lexical_index: Path) -> None:
    for path in PAGE_PATHS:
        assert (await get(served(lexical_index, page="false", **CLOSED), path)).status_code == 404


@pytest.mark.parametrize("path", sorted(PAGE_PATHS))
async def test_only_the_page_is_open_and_only_to_be_read(path: str) -> None:
    app = edge(credentials=KEY, **CLOSED)
    assert (await fetch(app, "POST", path)).status_code == 401
    assert (await fetch(app, "GET", f"{path}x")).status_code == 401


@pytest.mark.parametrize("path", sorted(PAGE_PATHS))
async def test_the_page_is_not_for_other_hosts(lexical_index: Path, path: str) -> None:
    metrics = Metrics()
    response = await get(served(lexical_index, metrics), path, Host="evil.example.com")
    assert response.status_code == 403
    assert count(metrics, "refused_requests_total", reason="host") == 1


def test_the_page_is_light_and_whole() -> None:
    files = {path.name: path.read_text() for path in STATIC.iterdir()}
    assert set(files) == {"page.html", "page.css", "page.js"}
    assert sum(len(text.encode()) for text in files.values()) < 40_000
    # What puts markup into a page, or asks somebody else.
    for word in ("innerHTML", "insertAdjacentHTML", "document.write", "eval(", "Storage", "url(", "@import"):
        assert not any(word in text for text in files.values()), word
